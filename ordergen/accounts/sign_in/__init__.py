"""Signing in: how often it may be tried, whether name and password are right, and how long it then lasts."""
