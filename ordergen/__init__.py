"""ordergen: portfolio rebalancing and order generation."""
