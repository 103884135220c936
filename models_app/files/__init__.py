"""What imports and exports share: the kinds of CSV file with their columns, and what may stand in a cell."""
