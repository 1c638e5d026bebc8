"""The rules of Tributary: pure values and functions, no I/O, no clock, no randomness."""
