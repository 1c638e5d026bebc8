"""The server: its processes, and what is done to it from outside."""
