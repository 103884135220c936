"""The GlobeCo contract: API v1's rebalances over the services that every door shares."""
