"""CSV into the book and the models: first a plan of what would change, then all of it or nothing."""
