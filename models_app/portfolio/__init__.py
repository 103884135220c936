"""PURE arithmetic for both apps: a position against its band, drift, tax lots, many portfolios as arrays."""
