"""Wear of machines, and the life they have left.

A health model is fitted from machines of one kind that were watched until they failed. It fuses
the signals into one damage figure, 0 as new and 1 at failure, and keeps how damage grew on every
one of them: the life left of a machine is what was left to those that looked like it.
"""
