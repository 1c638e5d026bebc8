"""The pass over the log, cut into shares of its streams: one for each processor.

Campaigns do not look at each other, so processes of their own can follow their rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from app.audit.findings import Finding, Findings
from app.audit.gathered import Gathered, MovementOf
from app.audit.progress import Progress
from app.audit.reader import AuditLog, CannotAudit
from app.audit.verification import Verification
from app.log import UnreadableEvent

SMALL: Final = 50_000
"""Events below which one process is done sooner than another one has started."""

MOST: Final = 8
"""Processes beyond which reading the log is what takes the time."""

POLL_S: Final = 0.2


class Share(Struct, frozen=True):
    """The streams whose number leaves `number` when divided by `of`, up to a position.

    What is to be looked at together later is gathered in the file `gathered`.
    """

    log_path: Path
    up_to: int
    number: int
    of: int
    gathered: Path
    with_money: bool


class Passed(Struct, frozen=True):
    """What the pass over a share found: events, violations (the first of so many), balances."""

    events: int
    violations: list[Finding]
    count: int
    balances: dict[tuple[str, str], int]


def shares_for(events: int) -> int:
    """Into how many shares a log of so many events is cut."""
    return 1 if events < SMALL else min(os.cpu_count() or 1, MOST)


def pass_over(shares: Sequence[Share], progress: Progress) -> list[Passed]:
    """Go over every share. Raises CannotAudit at an event that this code does not know."""
    if len(shares) == 1:
        (share,) = shares
        return [_pass(share, lambda events: progress(events, share.up_to))]
    return _pass_apart(shares, progress)


def _pass(share: Share, tell: Callable[[int], None]) -> Passed:
    findings = Findings()
    with (
        closing(AuditLog(share.log_path)) as log,
        closing(Gathered(share.gathered, _movements(log.log_id, share))) as gathered,
    ):
        run = Verification(findings, gathered.note)
        try:
            for rows in log.pages(share.up_to, share.number, share.of):
                run.feed(rows)
                tell(run.events)
        except UnreadableEvent as fault:
            raise CannotAudit(str(fault)) from fault
        run.finish()
    return Passed(run.events, findings.listed, findings.count, dict(run.balances))


def _movements(log_id: str, share: Share) -> MovementOf:
    if not share.with_money:
        return lambda _: None
    from app.audit.movements import movement_of  # noqa: PLC0415 - a log alone needs no bank

    return lambda event: movement_of(log_id, event)


# --- Processes of their own ----------------------------------------------------------------------

_board: Any = None
"""In a process of its own: how many events each share has passed, and last whether to stop."""


def _pass_apart(shares: Sequence[Share], progress: Progress) -> list[Passed]:
    context = get_context("spawn")  # a fork would copy locks that other threads hold
    board = context.Array("q", len(shares) + 1, lock=False)
    total = shares[0].up_to
    with ProcessPoolExecutor(len(shares), context, _begin, (board,)) as pool:
        running = [pool.submit(_pass_here, share) for share in shares]
        try:
            for _ in _polls(running):
                progress(sum(board[: len(shares)]), total)
            # All are done, or one has failed, and then this raises what stopped it.
            return [each.result() for each in running if each.done()]
        finally:
            board[len(shares)] = 1


def _polls(running: Sequence[Future[Passed]]) -> Iterator[None]:
    """Every now and then, until all are done or one has failed."""
    waiting = True
    while waiting:
        yield
        done, not_done = wait(running, POLL_S)
        waiting = bool(not_done) and not any(each.exception() for each in done)


def _begin(board: Any) -> None:  # noqa: ANN401 - ctypes has no name for it
    global _board  # noqa: PLW0603 - the one way to hand it to a pool's processes
    _board = board


def _pass_here(share: Share) -> Passed:
    def tell(events: int) -> None:
        _board[share.number] = events
        if _board[share.of]:
            raise CannotAudit("Another share could not be read.")

    return _pass(share, tell)
