"""What all pages have in common: requests, tables, the keyset every list pages by, tags, words of states, help."""
