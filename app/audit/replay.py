"""The views made anew from the log, and compared with the live ones row by row."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.audit import replay_shares
from app.audit.differences import Difference, count_rows, differences, digests
from app.audit.findings import Finding
from app.audit.live_views import Checkpoint, checkpoints, copy_views
from app.audit.moments import position_of
from app.audit.progress import Progress, unseen
from app.audit.reader import AuditLog, CannotAudit, LogPlace, open_for_reading
from app.audit.scratch import ScratchViews
from app.audit.share import workers_for
from projections.journal import UnbalancedEntryError
from projections.pledge_book import FactsDisagreeError
from projections.reading import LogGapError, UnreadableFactError
from projections.runner import BATCH, CHECKPOINTS, Follower

LISTED: Final = 1_000
LISTED_PER_TABLE: Final = 100
"""How many differences are kept, so that one table does not hide another; all are counted."""


class Replayed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `audit replay` found. `differences` are the first hundred of each table, a thousand in
    all; `count` is how many there are, where that is more, `by_table` how many in each table.

    `contradictions` are events that contradict those before them, so that no views can follow, and
    accounts that are not what their postings sum to; then nothing was compared. `compared` is
    False, too, where the views were made for a position at which the live ones do not stand.

    `digest` is the SHA-256 over the names and digests of all tables, `digests` those of each; they
    are of the views made anew, and the same on every machine.
    """

    events: int
    identical: bool
    differences: list[Difference]
    count: int = 0
    by_table: dict[str, int] = {}
    contradictions: list[Finding] = []
    compared: bool = True
    digest: str = ""
    digests: dict[str, str] = {}

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with what was looked at."""
        return self.identical or not (self.compared or self.contradictions)


class Effort(Struct, frozen=True):
    """What a replay took: seconds to make the views anew and to compare them, how many tables and
    rows there are, and up to which position.
    """

    seconds: float
    tables: int
    rows: int
    position: int


class _Contradiction(Exception):  # noqa: N818 - what was found
    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def replay(
    log_place: LogPlace,
    views_path: Path,
    progress: Progress = unseen,
    workers: int | None = None,
    *,
    moment: str | None = None,
    with_digest: bool = False,
) -> tuple[Replayed, Effort]:
    """Make the views anew in a temporary directory, and compare them with a copy of the live ones.

    Both are as of the position where the copy stands, so that a server may go on meanwhile.
    Several processes tell whether all is identical; what is not is found and named by one, which
    makes them once more. `workers` is how many; by default as many as there are processors, where
    that is worth while. Raises CannotAudit where there is no log, there are no views, or the log
    cannot be followed.

    With a `moment`, a position or a time, the views are made up to there by one process, their
    books are summed, and their digests taken; they are compared where the live views stand at that
    very position. Then no live views need to be there.
    """
    with (
        closing(AuditLog(log_place)) as log,
        tempfile.TemporaryDirectory(prefix="tributary-audit-") as name,
    ):
        folder = Path(name)
        live = folder / "live.db"
        wanted = None if moment is None else position_of(log, moment)
        if wanted is None or views_path.is_file():
            copy_views(views_path, live)
        began = time.perf_counter()
        stands: list[Checkpoint] = []
        if live.exists():
            with closing(open_for_reading(live)) as views:
                stands = checkpoints(views, log.log_id)
        until = max(checkpoint.position for checkpoint in stands) if wanted is None else wanted
        if wanted is not None and {checkpoint.position for checkpoint in stands} != {wanted}:
            found, rows = _made(log, folder / "replayed.db", wanted, progress)
        else:
            found, rows = _held_against(log, folder, stands, until, workers, progress)
            if found.identical and (with_digest or wanted is not None):
                found = _with_digests(found, live)
        return found, Effort(time.perf_counter() - began, *rows, until)


def _held_against(
    log: AuditLog,
    folder: Path,
    stands: list[Checkpoint],
    until: int,
    workers: int | None,
    progress: Progress,
) -> tuple[Replayed, tuple[int, int]]:
    """Make the views anew and compare them with `live.db`, both up to a position; also how many
    tables and rows those have.
    """
    live = folder / "live.db"
    with closing(open_for_reading(live)) as views:
        rows = count_rows(views)
    file = ScratchViews(folder / "replayed.db")
    try:
        follower = _follower(log, file, stands)
        processes = min(workers or workers_for(until), until or 1)
        level = {checkpoint.position for checkpoint in stands} == {until}
        if processes > 1 and level and len(stands) == _checkpoint_rows(live):
            place = (log.place, live, until, processes, folder)
            if replay_shares.identical(*place, progress):
                return Replayed(events=until, identical=True, differences=[]), rows
        return _replayed_alone(follower, live, file.path, until, log, progress), rows
    finally:
        file.close_sync()


# --- Without live views --------------------------------------------------------------------------

_SUMS: Final = """
    SELECT 'The journal in ' || currency || ' sums to ' || sum(balance_minor) || ', not to zero.'
    FROM journal_accounts GROUP BY currency HAVING sum(balance_minor) <> 0
    UNION ALL
    SELECT a.name || ' in ' || a.currency || ' is ' || a.balance_minor
        || ', and its postings sum to ' || coalesce(p.total, 0) || '.'
    FROM journal_accounts a
    LEFT JOIN (SELECT account, sum(amount_minor) AS total FROM journal_postings GROUP BY account) p
        ON p.account = a.number
    WHERE a.balance_minor <> coalesce(p.total, 0)"""


def _made(
    log: AuditLog, path: Path, until: int, progress: Progress
) -> tuple[Replayed, tuple[int, int]]:
    """Make the views up to a position where nothing can be compared, and sum their books."""
    file = ScratchViews(path)
    try:
        follower = Follower(log.read, file, log_id=log.log_id)
        progress(0, until)
        try:
            events = _follow(follower, until, log, progress)
        except _Contradiction as contradiction:
            return _contradicted(follower.position, contradiction), (0, 0)
    finally:
        file.close_sync()
    with closing(open_for_reading(path)) as views:
        rows = count_rows(views)
        wrong = [Finding("rule 7", None, "", said) for (said,) in views.execute(_SUMS)]
    found = Replayed(
        events=events, identical=False, differences=[], contradictions=wrong, compared=False
    )
    return _with_digests(found, path), rows


def _with_digests(found: Replayed, views_path: Path) -> Replayed:
    """With the digests of the tables in a file; how far it was read is not among what they say."""
    with closing(open_for_reading(views_path)) as views:
        each = digests(views, frozenset((CHECKPOINTS.name,)))
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(each.items()))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    return msgspec.structs.replace(found, digest=digest, digests=each)


# --- Beside the live views -----------------------------------------------------------------------


def _checkpoint_rows(live: Path) -> int:
    with closing(open_for_reading(live)) as views:
        (rows,) = views.execute("SELECT count(*) FROM checkpoints").fetchone()
        return int(rows)


def _follower(log: AuditLog, file: ScratchViews, stands: list[Checkpoint]) -> Follower:
    """A follower of empty views that have the same shape as the live ones."""
    follower = Follower(log.read, file, log_id=log.log_id)
    with closing(open_for_reading(file.path)) as empty:
        fresh = checkpoints(empty, log.log_id)
    if {each[:2] for each in stands} != {each[:2] for each in fresh}:
        raise CannotAudit(
            "The views were written by another version of Tributary: run `tributary rebuild`."
        )
    return follower


def _replayed_alone(
    follower: Follower, live: Path, anew: Path, until: int, log: AuditLog, progress: Progress
) -> Replayed:
    """Fold the log into empty views up to where the live ones stand, and compare them."""
    progress(0, until)
    try:
        events = _follow(follower, until, log, progress)
    except _Contradiction as contradiction:
        return _contradicted(follower.position, contradiction)
    with closing(open_for_reading(live)) as theirs, closing(open_for_reading(anew)) as ours:
        return _compared(events, differences(theirs, ours))


def _contradicted(events: int, contradiction: _Contradiction) -> Replayed:
    return Replayed(
        events=events,
        identical=False,
        differences=[],
        contradictions=[contradiction.finding],
        compared=False,
    )


def _follow(follower: Follower, until: int, log: AuditLog, progress: Progress) -> int:
    """Step to a position; return how many events that were."""
    total, limit = 0, BATCH
    try:
        while follower.position < until:
            try:
                events = follower.step(min(limit, until - follower.position))
            except (FactsDisagreeError, UnbalancedEntryError) as fault:
                if limit == 1:
                    raise _contradiction(log, follower.position + 1, fault) from fault
                limit = max(1, limit // 8)  # nothing of the batch was kept; which event is it?
                continue
            if not events:
                break
            total += events
            progress(follower.position, until)
    except (LogGapError, UnreadableFactError) as fault:
        raise CannotAudit(
            f"The log cannot be followed to its end: {fault}. `audit verify` tells more."
        ) from fault
    return total


def _contradiction(log: AuditLog, position: int, fault: Exception) -> _Contradiction:
    rows = log.read(position - 1, 1)
    stream = rows[0].stream if rows else ""
    return _Contradiction(Finding("replay", position, stream, f"No views can follow: {fault}."))


def _compared(events: int, found: Iterator[Difference]) -> Replayed:
    listed: list[Difference] = []
    by_table: Counter[str] = Counter()
    for difference in found:
        by_table[difference.table] += 1
        if by_table[difference.table] <= LISTED_PER_TABLE and len(listed) < LISTED:
            listed.append(difference)
    count = by_table.total()
    return Replayed(
        events=events,
        identical=not count,
        differences=listed,
        count=count if count > len(listed) else 0,
        by_table=dict(by_table),
    )


def describe(found: Replayed, effort: Effort) -> Iterator[str]:
    """Say it in lines of text."""
    for contradiction in found.contradictions:
        yield str(contradiction)
    if found.contradictions:
        if not found.digest:
            yield "The views cannot be made anew beyond this event: `audit verify` tells more."
        return
    if not found.compared:
        yield from _described_then(found, effort)
        return
    for difference in found.differences:
        yield str(difference)
    for table, count in found.by_table.items():
        yield f"{table}: {count:,} differences"
    result = "identical" if found.identical else "different"
    yield f"{effort.rows:,} rows of {effort.tables} tables compared: {result}"
    if found.digest:
        yield f"digest {found.digest}"


def _described_then(found: Replayed, effort: Effort) -> Iterator[str]:
    for table, digest in found.digests.items():
        yield f"{table:<24} {digest}"
    yield f"{effort.rows:,} rows of {effort.tables} tables made, as of position {effort.position:,}"
    yield "The books sum to zero. The live views stand elsewhere: they were not compared."
    yield f"digest {found.digest}"
