"""The integer programme: CVXPY states it, HiGHS solves it; relaxations, multipliers, what to relax."""
