"""Customers, machines, contracts and service history, with the two times of every fact."""
