"""The backer's way: from a pledge to its proof, and what became of the money."""
