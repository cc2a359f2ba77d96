"""Machines that live: what becomes of them, what they measure, and what is true about them."""
