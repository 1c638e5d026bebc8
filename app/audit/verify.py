"""The whole of `audit verify`: the log, its keys, our books against the provider's, and the
transparency log.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from app.audit.findings import Finding, Findings
from app.audit.gathered import money_in
from app.audit.leaves import LeafPlan, LeavesSeen
from app.audit.moments import position_of
from app.audit.order import check_keys, check_order, check_pledge_ids
from app.audit.processes import Processes
from app.audit.progress import Progress, unseen
from app.audit.reader import AuditLog, LogPlace
from app.audit.share import SMALL, Passed, Share, pass_over, shares_for, workers_for
from app.audit.tree import TreeCheck, TreeFound
from app.audit.tree import describe as describe_tree
from app.audit.tree_place import TreePlace

if TYPE_CHECKING:
    from app.audit.reconcile import Reconciliation


class Verified(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `audit verify` found. `violations` are the first thousand; `count` is how many there
    are, where that is more. `in_flight` are movements that only one of the two books has, and
    nothing is wrong; `in_flight_count` how many, where that is more than are listed. `left_out`
    says what was not looked at, and why. `tree` is what was looked at of the transparency log.
    """

    events: int
    ok: bool
    violations: list[Finding]
    count: int = 0
    in_flight: list[Finding] = []
    in_flight_count: int = 0
    left_out: list[str] = []
    tree: TreeFound | None = None


class Effort(Struct, frozen=True):
    """What a verification took: seconds, up to which position, and how many findings of each kind
    there are.
    """

    seconds: float
    position: int
    by_kind: dict[str, int]


def verify(
    log_place: LogPlace,
    bank_path: Path,
    progress: Progress = unseen,
    workers: int | None = None,
    *,
    moment: str | None = None,
    tree: TreePlace | None = None,
) -> tuple[Verified, Effort]:
    """Verify a log, and our books against the test bank's where its file is there.

    `workers` is in how many processes; by default as many as there are processors, where that is
    worth while. With a `moment`, a position or a time, the log is gone over up to there. With a
    `tree` the transparency log is held against the events. Raises CannotAudit where there is no log
    or no such moment, at a fact that this code does not know, and for a checkpoint from outside
    that cannot be used.
    """
    began = time.perf_counter()
    findings, in_flight = Findings(), Findings()
    left_out: list[str] = []
    with ExitStack() as opened:
        log = opened.enter_context(closing(AuditLog(log_place)))
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="tributary-audit-")))
        bank = None
        if moment is None:
            bank = _bank(bank_path, folder / "bank.db", log, findings)
        elif bank_path.is_file():
            left_out.append("The bank's books are those of now: they were not compared.")
        check = None if tree is None else TreeCheck(tree, findings, left_out)
        up_to = position_of(log, moment)
        leaves = None if check is None else check.plan(log, up_to, whole=moment is None)
        events = log.count(up_to) if up_to > SMALL else up_to
        workers = workers or workers_for(events)
        plan = _Plan(log_place, events, up_to, folder, workers, bank is not None, leaves)
        processes = opened.enter_context(Processes(workers)) if workers > 1 else None
        shares, passed = _passed(plan, processes, progress)
        gathered = [share.gathered for share in shares]
        balances = _balances(passed)
        gaps = check_order(log, gathered, up_to, findings)
        check_keys(log, findings, None if moment is None else up_to)
        check_pledge_ids(log, gathered, findings)
        _check_zero_sums(balances, findings)
        if bank is not None:
            money = opened.enter_context(closing(money_in(gathered)))
            bank.compare(money, balances, up_to)
            in_flight = bank.in_flight
        tree_found = None
        if check is not None:
            tree_found = check.run(log, _seen(passed), gaps, folder, processes, progress)
    for each in passed:
        findings.take(each.findings)
    found = Verified(
        events=sum(each.events for each in passed),
        ok=not findings.count,
        violations=findings.listed,
        count=findings.unlisted,
        in_flight=in_flight.listed,
        in_flight_count=in_flight.unlisted,
        left_out=left_out,
        tree=tree_found,
    )
    return found, Effort(time.perf_counter() - began, up_to, dict(findings.by_kind))


class _Plan(NamedTuple):
    """How a log is gone over."""

    log: LogPlace
    events: int
    up_to: int
    folder: Path
    workers: int
    with_money: bool
    leaves: LeafPlan | None

    def shares(self, of: int) -> list[Share]:
        """So many shares."""
        folder = self.folder / str(of)
        folder.mkdir()
        return [
            Share(self.log, self.up_to, number, of, folder, self.with_money, self.leaves)
            for number in range(of)
        ]


def _passed(
    plan: _Plan, processes: Processes | None, progress: Progress
) -> tuple[list[Share], list[Passed]]:
    """Go over the log in shares, or all in one where an event lies in another stream's share."""
    shares = plan.shares(shares_for(plan.events, plan.workers))
    passed = pass_over(shares, processes, progress)
    if len(shares) > 1 and any(each.misplaced for each in passed):
        shares = plan.shares(1)
        passed = pass_over(shares, None, progress)
    return shares, passed


def _seen(passed: Sequence[Passed]) -> LeavesSeen:
    seen = LeavesSeen()
    for each in passed:
        seen.add(each.leaves)
    return seen


def _bank(path: Path, store: Path, log: AuditLog, findings: Findings) -> Reconciliation | None:
    if not path.is_file():
        return None
    from app.audit.reconcile import Reconciliation  # noqa: PLC0415 - a log alone needs no bank

    return Reconciliation(path, store, log, findings)


def _balances(passed: Sequence[Passed]) -> dict[tuple[str, str], int]:
    """The journal's balances by account and currency."""
    balances: defaultdict[tuple[str, str], int] = defaultdict(int)
    for each in passed:
        for currency, books in each.balances.items():
            for account, amount_minor in books.items():
                balances[account, currency] += amount_minor
    return dict(balances)


def _check_zero_sums(balances: dict[tuple[str, str], int], findings: Findings) -> None:
    totals: defaultdict[str, int] = defaultdict(int)
    for (_, currency), amount_minor in balances.items():
        totals[currency] += amount_minor
    for currency, total_minor in sorted(totals.items()):
        if total_minor:
            sentence = f"The journal in {currency} sums to {total_minor}, not to zero."
            findings.add("rule 7", sentence)


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
    yield from found.left_out
    if found.tree is not None:
        yield from describe_tree(found.tree)
    yield "No rule is broken." if found.ok else "Something is wrong."
