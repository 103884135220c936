"""The independent check: an answer against its problem, sharing no code with what found it."""
