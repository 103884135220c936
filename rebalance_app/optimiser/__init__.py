"""The rebalancing arithmetic: pure functions over frozen dataclasses. No framework, no database, no I/O.

Importing a module of this package costs numpy at most; CVXPY is imported by the function that solves with it.
"""
