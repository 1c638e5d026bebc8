"""The transparency log: a Merkle tree over the events, and what proves from outside what is in it.

`merkle`, `tiles`, `note`, `checkpoint` and `proof` are the published formats, pure and without
input or output (docs/formats.md).
"""
