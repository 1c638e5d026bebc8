"""Real histories run through the real engine, with time taken from the data."""
