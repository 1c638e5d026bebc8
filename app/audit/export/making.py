"""One export, from the log to the file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from msgspec import Struct

from app.audit.export import beancount, flat, hledger
from app.audit.export.contents import Contents
from app.audit.export.entries import Batch, batches
from app.audit.export.files import place_of, written
from app.audit.export.view_books import ViewBooks, books_of, standing
from app.audit.export.wanted import Format, Wanted
from app.audit.moments import position_of
from app.audit.progress import Progress, unseen
from app.audit.reader import AuditLog, CannotAudit, LogPlace
from app.audit.scratch import ScratchViews
from projections.campaign_pages import CampaignPages
from projections.journal import Journal
from projections.runner import LASTING, Follower


class _Form(NamedTuple):
    """How a format is written, and into a file of which name; whether balances of views end it, and
    whether its writer goes back in the file.
    """

    write: Callable[[Contents, BinaryIO], None]
    name: str
    has_balances: bool = False
    seeks: bool = False


_FORMS: Final[dict[Format, _Form]] = {
    "beancount": _Form(beancount.write, "books.beancount", has_balances=True),
    "hledger": _Form(hledger.write, "books.journal", has_balances=True),
    "csv": _Form(flat.write_csv, "postings.csv"),
    "parquet": _Form(flat.write_parquet, "postings.parquet", seeks=True),
    "ndjson": _Form(flat.write_ndjson, "postings.ndjson"),
}


class Exported(Struct, frozen=True):
    """What was written: positions 1 to `position`, in `file`; empty for standard output.

    `balances` are those of the read models at the end, `replayed` whether these were made anew.
    """

    format: Format
    file: str
    position: int
    transactions: int
    postings: int
    balances: int
    replayed: bool


def export(
    log_place: LogPlace, views_path: Path, wanted: Wanted, progress: Progress = unseen
) -> Exported:
    """Write the books. Raises CannotAudit where that cannot be done; then no file is left."""
    form = _FORMS[wanted.format]
    place = place_of(wanted.out, form.name, force=wanted.force)
    with closing(AuditLog(log_place)) as log:
        campaigns = tuple(sorted({log.campaign_named(each) for each in wanted.campaigns}))
        if form.has_balances:
            views, replayed = _views(log, views_path, wanted.moment, campaigns, progress)
            until = views.position
        else:
            views, replayed, until = None, False, position_of(log, wanted.moment)
        done = until if replayed else 0
        counted = Counted(
            batches(log, until, campaigns),
            lambda position: progress(done + position, done + until),
        )
        contents = Contents(log.log_id, until, campaigns, counted, views, replayed)
        with written(place, seeks=form.seeks) as to:
            form.write(contents, to)
    return Exported(
        format=wanted.format,
        file="" if place is None else str(place),
        position=until,
        transactions=counted.transactions,
        postings=counted.postings,
        balances=0 if views is None else len(views.balances),
        replayed=replayed,
    )


class Counted:
    """Batches on their way to the file, which are counted and told of."""

    def __init__(self, read: Iterable[Batch], tell: Callable[[int], None]) -> None:
        self._read = read
        self._tell = tell
        self.transactions = 0
        self.postings = 0

    def __iter__(self) -> Iterator[Batch]:
        """Each batch once."""
        for batch in self._read:
            self.transactions += len(batch.entries)
            self.postings += sum(len(entry.lines) for entry in batch.entries)
            yield batch
            self._tell(batch.position)


# --- The views -----------------------------------------------------------------------------------


def _views(
    log: AuditLog, path: Path, moment: str | None, campaigns: Sequence[str], progress: Progress
) -> tuple[ViewBooks, bool]:
    """The views' books, and whether they had to be made: the live ones are of one position."""
    if moment is None:
        views = books_of(path, log.log_id, campaigns)
        last, _ = log.last()
        if views.position > last:
            raise CannotAudit(
                f"The views have read up to position {views.position:,}, the log ends at {last:,}:"
                " `audit replay` tells more."
            )
        return views, False
    until = position_of(log, moment)
    with suppress(CannotAudit):  # without live views all can still be made anew
        if standing(path, log.log_id) == until:
            views = books_of(path, log.log_id, campaigns)
            if views.position == until:
                return views, False
    return _replayed(log, until, campaigns, progress), True


def _replayed(log: AuditLog, until: int, campaigns: Sequence[str], progress: Progress) -> ViewBooks:
    """The views as the log makes them up to a position, in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="tributary-export-") as folder:
        file = ScratchViews(Path(folder) / "views.db")
        try:
            follower = Follower(
                log.read, file, log_id=log.log_id, projections=(CampaignPages(), Journal())
            )
            follower.catch_up(until, lambda position: progress(position, 2 * until))
        except LASTING as fault:
            raise CannotAudit(
                f"The views cannot be made up to there: {fault}. `audit verify` tells more."
            ) from fault
        finally:
            file.close_sync()
        return books_of(file.path, log.log_id, campaigns)
