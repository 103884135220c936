"""The drift of the whole firm, kept: which rows a change makes old, computing them anew, reading them."""
