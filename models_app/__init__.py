"""The book (securities, prices, portfolios, holdings, lots), the investment models, and drift between them."""
