"""Money in and out: the provider port, and the built-in test bank behind it."""
