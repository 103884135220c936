"""The ground: database, errors, ids, exact decimals, CSV, correlation, metrics. It imports nothing above it."""
