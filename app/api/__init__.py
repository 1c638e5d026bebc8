"""The API: JSON over HTTP for programs that show a key."""
