"""The life of an order: who may move it from where to where, and what is on its way to a portfolio."""
