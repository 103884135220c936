"""Pages and API of the book and of portfolios: lists, drift now and over time, charts, tax lots."""
