"""A campaign's public page and what hangs on it."""
