"""The book and the models as CSV, in the columns that imports read."""
