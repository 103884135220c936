"""What became of approved orders: a person closes them, or confirms what newly stated holdings show of them."""
