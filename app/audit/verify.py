"""The whole of `audit verify`: the log, its keys, and our books against the provider's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from app.audit.findings import Finding, Findings
from app.audit.progress import Progress, unseen
from app.audit.reader import AuditLog
from app.audit.verification import Verification, check_keys

if TYPE_CHECKING:
    from app.audit.reconcile import Reconciliation


class Verified(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `audit verify` found. `violations` are the first thousand; `count` is how many there
    are, where that is more. `in_flight` are movements that the provider's books have and ours do
    not yet have, `in_flight_count` how many, where that is more.
    """

    events: int
    ok: bool
    violations: list[Finding]
    count: int = 0
    in_flight: list[Finding] = []
    in_flight_count: int = 0


def verify(log_path: Path, bank_path: Path, progress: Progress = unseen) -> tuple[Verified, float]:
    """Verify a log, and our books against the test bank's where its file is there.

    Returns what was found, and the seconds it took. Raises CannotAudit where there is no log, and
    UnreadableEvent at a fact that this code does not know.
    """
    began = time.perf_counter()
    findings = Findings()
    with ExitStack() as opened:
        log = opened.enter_context(closing(AuditLog(log_path)))
        bank = _bank(bank_path, log, findings)
        up_to, _ = log.last()
        if bank is not None:
            opened.callback(bank.close)
        run = Verification(findings, None if bank is None else bank.watch)
        progress(0, up_to)
        for rows in log.pages(up_to):
            run.feed(rows)
            progress(run.events, up_to)
        run.finish()
        check_keys(log, findings)
        if bank is not None:
            bank.compare(run.state_of, run.balances)
    in_flight = Findings() if bank is None else bank.in_flight
    found = Verified(
        events=run.events,
        ok=not findings.count,
        violations=findings.listed,
        count=findings.unlisted,
        in_flight=in_flight.listed,
        in_flight_count=in_flight.unlisted,
    )
    return found, time.perf_counter() - began


def _bank(path: Path, log: AuditLog, findings: Findings) -> Reconciliation | None:
    if not path.is_file():
        return None
    from app.audit.reconcile import Reconciliation  # noqa: PLC0415 - a log alone needs no bank

    since, _ = log.last()
    return Reconciliation(path, log.log_id, since, findings)


def describe(found: Verified) -> Iterator[str]:
    """Say it in lines of text."""
    for violation in found.violations:
        yield str(violation)
    if found.count:
        yield f"… {found.count:,} violations in all"
    for movement in found.in_flight:
        yield f"in flight: {movement.sentence}"
    if found.in_flight_count:
        yield f"… {found.in_flight_count:,} movements in flight in all"
    yield "No rule is broken." if found.ok else "Something is wrong."
