"""The thirteen rules looked at from outside; `domain.invariants` is the way in."""
