"""What speaks against deciding so on orders: one judgement for every door."""
