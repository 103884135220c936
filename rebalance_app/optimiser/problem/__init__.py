"""What is asked, in whole numbers: validation, bounds, coupling rows, objective."""
