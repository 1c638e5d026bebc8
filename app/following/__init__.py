"""Following the log on a machine: one reading for all, whose turn it is, what was seen."""
