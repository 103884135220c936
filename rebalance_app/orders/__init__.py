"""Orders: the list and its paging, one order with its record, deciding on them, their CSV."""
