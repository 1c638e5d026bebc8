"""Numbers that were explained, kept in memory: what the log says up to a position never changes.

The cache holds a bounded number of events, whichever campaigns they are of; what was not asked for
longest goes first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from app.audit.explain import Explanation, Number, Shown, explain
from app.audit.reader import AuditLog, LogPlace

MOST_KEPT: Final = 200_000
"""Events that are kept explained; one takes some 200 bytes."""

Key = tuple[LogPlace, str, int, Number]
"""Of which log, which campaign, up to which position, which number."""


class KeptExplanations:
    """Explanations by campaign, position and number."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[Key, Explanation] = OrderedDict()
        self._events = 0

    async def explained(
        self, log: LogPlace, campaign_id: str, number: Number, shown: Shown
    ) -> Explanation:
        """Say what makes a number up to the position at which it was shown.

        Raises CannotAudit where the campaign had not begun there.
        """
        key = (log, campaign_id, shown.position, number)
        found = self._kept.get(key)
        if found is None:
            found = await asyncio.to_thread(_explained, log, campaign_id, number, shown)
            self._keep(key, found)
        else:
            self._kept.move_to_end(key)
        return found

    def _keep(self, key: Key, found: Explanation) -> None:
        if key in self._kept:
            return
        self._kept[key] = found
        self._events += _weight(found)
        while self._events > self._most and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._events -= _weight(gone)

    def __len__(self) -> int:
        return len(self._kept)


def _weight(found: Explanation) -> int:
    """An explanation without events takes room, too."""
    return len(found.changes) + 1


def _explained(log: LogPlace, campaign_id: str, number: Number, shown: Shown) -> Explanation:
    opened = AuditLog(log)
    try:
        return explain(opened, campaign_id, number, shown.position, shown)
    finally:
        opened.close()


KEPT: Final = KeptExplanations()
"""Those of this process, for pages and programs alike."""
