"""The read models: what pages show, folded from the log and rebuilt from it at any time."""
