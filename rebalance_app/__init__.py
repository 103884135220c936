"""Runs (`Rebalance`), their proposals (`PortfolioRebalance`) and orders: from a launch to a decision."""
