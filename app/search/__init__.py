"""Finding campaigns by words, state, category, channel and language, in any of five orders.

An index of its own in `search.db`: made of the views, the texts and the names, thrown away and made
anew whenever it is missing or another version wrote it.
"""

from __future__ import annotations

from app.search.following import SearchFollower
from app.search.index import (
    LIVE,
    ORDERS,
    OTHERWISE,
    STATES,
    WELL,
    Entry,
    Found,
    Order,
    SearchIndex,
    State,
    Wanted,
)

__all__ = [
    "LIVE",
    "ORDERS",
    "OTHERWISE",
    "STATES",
    "WELL",
    "Entry",
    "Found",
    "Order",
    "SearchFollower",
    "SearchIndex",
    "State",
    "Wanted",
]
