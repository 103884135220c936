"""What both JSON APIs have in common: who asks, reading and writing JSON, errors, documents, conventions of v2."""
