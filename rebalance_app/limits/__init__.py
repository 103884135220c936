"""Limits that stay, on a model, a portfolio or a security; which of them hold for a run."""
