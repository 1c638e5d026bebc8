"""How the books stand: what was checked last, who witnessed it, and how anybody checks it."""
