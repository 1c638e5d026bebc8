"""Sample campaigns made by real commands, and a driver that keeps the demo alive."""
