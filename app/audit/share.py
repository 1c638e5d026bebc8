"""The pass over the log, cut into shares of its streams: so much at a time, several at once.

Campaigns do not look at each other, so processes of their own can follow their rules. A share's
states are forgotten when it is done, which bounds the memory.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.audit.findings import Findings
from app.audit.gathered import Gathered, Gatherer, MovementOf
from app.audit.leaves import LeafCheck, LeafPlan, LeavesSeen, Read
from app.audit.processes import MOST_TASKS, Processes, Tell
from app.audit.progress import Progress
from app.audit.reader import AuditLog, CannotAudit, LogPlace
from app.audit.verification import Verification
from app.log import UnreadableEvent

SMALL: Final = 50_000
"""Events below which one process is done sooner than another one has started."""

MOST: Final = 8
"""Processes beyond which reading the log is what takes the time."""

SHARE_EVENTS: Final = 500_000
"""Events of one share, where campaigns are about equal. Pledges take some 800 bytes of memory
each until their share is done. Each share reads past all other rows, which is quick.
"""

SHARES_EACH: Final = 2
"""Shares of each process at least, so that it helps out where another one has more to do."""


class Share(Struct, frozen=True):
    """The streams whose number leaves `number` when divided by `of`, up to a position.

    What is to be looked at together later is gathered in files in `folder`. With `leaves` the
    events are held against the leaves of the transparency log.
    """

    log: LogPlace
    up_to: int
    number: int
    of: int
    folder: Path
    with_money: bool
    leaves: LeafPlan | None = None

    @property
    def gathered(self) -> Gathered:
        """Its files."""
        return Gathered(self.folder, self.number)


class Passed(Struct, frozen=True):
    """What the pass over a share found: events, violations, balances by currency and account.

    `misplaced` counts the rows whose column names another stream than their body; `leaves` is what
    was seen of the transparency log's.
    """

    events: int
    findings: Findings
    balances: dict[str, dict[str, int]]
    misplaced: int
    leaves: LeavesSeen


def workers_for(events: int) -> int:
    """How many processes go over a log of so many events: one for each processor we may use."""
    return 1 if events < SMALL else min(len(os.sched_getaffinity(0)), MOST)


def shares_for(events: int, workers: int) -> int:
    """Into how many shares a log of so many events is cut."""
    for_memory = -(-events // SHARE_EVENTS)
    return min(max(1, for_memory, workers * SHARES_EACH if workers > 1 else 1), MOST_TASKS)


def pass_over(
    shares: Sequence[Share], processes: Processes | None, progress: Progress
) -> list[Passed]:
    """Go over every share, in some processes or here. Raises CannotAudit at an event that this code
    does not know.
    """
    total, done = shares[0].up_to, list[Passed]()
    if processes is not None:
        return processes.run(_pass, shares, progress, total)
    for share in shares:
        before = sum(passed.events for passed in done)
        done.append(_pass(share, lambda events, before=before: progress(before + events, total)))  # type: ignore[misc] # mypy takes the default for an argument
    return done


def _pass(share: Share, tell: Tell) -> Passed:
    findings = Findings()
    with (
        _uncollected(),
        closing(AuditLog(share.log)) as log,
        closing(Gatherer(share.gathered, _movements(log.log_id, share))) as gathered,
    ):
        run = Verification(findings, gathered.note, keeping=share.leaves is not None)
        leaves = _leaves(share, findings, log)
        try:
            for rows in log.pages(share.up_to, share.number, share.of):
                run.feed(rows, log.names_of(rows))
                gathered.note_page(rows, run.pledge_ids)
                leaves.page(run.read)
                tell(run.events)
        except UnreadableEvent as fault:
            raise CannotAudit(str(fault)) from fault
        finally:
            leaves.close()
        run.finish()
    balances = {currency: dict(books) for currency, books in run.balances.items()}
    return Passed(run.events, findings, balances, run.misplaced, leaves.seen)


class _NoLeaves:
    """Where there is no tree, or no secret to make leaves with."""

    def __init__(self) -> None:
        self.seen = LeavesSeen()

    def page(self, _read: Sequence[Read]) -> None:
        """Nothing to check."""

    def close(self) -> None:
        """Nothing to close."""


def _leaves(share: Share, findings: Findings, log: AuditLog) -> LeafCheck | _NoLeaves:
    if share.leaves is None:
        return _NoLeaves()
    return LeafCheck(share.leaves, findings, log.erased())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector from going through millions of states that hold no circles."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _movements(log_id: str, share: Share) -> MovementOf | None:
    if not share.with_money:
        return None
    from app.audit.movements import movement_of  # noqa: PLC0415 - a log alone needs no bank

    return lambda event: movement_of(log_id, event)
