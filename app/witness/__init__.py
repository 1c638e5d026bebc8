"""The witness: cosigns a log's checkpoints as long as each tree begins with the one before.

It is a program of its own, run by somebody who is not the log's operator (docs/formats.md).
"""
