"""What is exported: a stretch of the log as entries, and what the read models say at its end."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from app.audit.export.entries import Batch
from app.audit.export.view_books import ViewBooks


class Contents(Struct, frozen=True):
    """The log's entries up to a position, once; `views` where balances are asked for.

    `campaigns` are those that were chosen, none where all are meant. `replayed` says whether the
    views were made for this purpose.
    """

    log_id: str
    until: int
    campaigns: tuple[str, ...]
    batches: Iterable[Batch]
    views: ViewBooks | None = None
    replayed: bool = False
