"""Every test here may ask for a running platform."""

from __future__ import annotations

import pytest

from app.audit.findings import Finding
from app.audit.last import LastReplay, LastVerify, keep_replay, keep_verify
from app.web.audit.pages import brief_cache
from tests.api.running import NOW, Running, clock, running, staff

__all__ = ["Auditor", "auditor", "clock", "running", "staff"]

POSITION = 48_211


class Auditor:
    """Keeps the results of audits that were never run."""

    def __init__(self, running: Running) -> None:
        self.path = running.platform.settings.last_audit_path
        # What an audit has just found is looked at at once.
        brief_cache(running.platform).kept_s = 0

    def verified(
        self, *places: Finding, position: int = POSITION, tree: bool = False, **others: int
    ) -> None:
        """Keep a verification that found something at these places, and so often elsewhere."""
        kinds: dict[str, int] = dict(others)
        for place in places:
            kinds[place.rule] = kinds.get(place.rule, 0) + 1
        count = sum(kinds.values())
        found = LastVerify(
            at=NOW, position=position, ok=not count, violations=count, seconds=1.0, tree=tree
        )
        keep_verify(self.path, found, kinds, places)

    def replayed(self, *, identical: bool = True) -> None:
        """Keep a replay."""
        keep_replay(
            self.path,
            LastReplay(at=NOW, position=POSITION, identical=identical, seconds=1.0, digest=""),
        )


@pytest.fixture
def auditor(running: Running) -> Auditor:
    """Whoever audits this platform."""
    return Auditor(running)
