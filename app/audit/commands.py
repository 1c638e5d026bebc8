"""`tributary audit …`: what is typed, and what is printed.

With `--json` standard output holds one line, the object; else it holds text for people. Progress
goes to standard error, where that is a terminal. Exit code 0: all is well; 1: something was found;
2: the question could not be answered.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec, Protocol

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from app.audit import explain, show, verify
from app.audit.moments import position_of
from app.audit.progress import Progress
from app.audit.reader import AuditLog, CannotAudit, LogPlace
from app.log import UnreadableEvent

P = ParamSpec("P")

FOUND = 1
CANNOT = 2


class Places(Protocol):
    """Where the files are; the settings know."""

    @property
    def database_url(self) -> str:
        """The PostgreSQL database that holds the event log; empty where it is a file."""

    @property
    def log_path(self) -> Path:
        """The event log's file."""

    @property
    def views_path(self) -> Path:
        """The read models."""

    @property
    def test_bank_path(self) -> Path:
        """The test bank's books."""


class Options(Protocol):
    """What the global options say; `ctx.obj` of every command here."""

    @property
    def settings(self) -> Places:
        """The settings."""

    only_reads: bool
    """Whether nothing may be made on the disk."""

    @property
    def json(self) -> bool:
        """Whether the last line of standard output is one JSON object."""


def _told(command: Callable[P, None]) -> Callable[P, None]:
    """End with a sentence and exit code 2 where the question cannot be answered."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (CannotAudit, UnreadableEvent) as fault:
            _stop(str(fault))
        except sqlite3.Error as fault:
            _stop(f"A file cannot be read: {fault}.")

    return told


def _stop(sentence: str) -> NoReturn:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(CANNOT)


@contextmanager
def _progress(doing: str) -> Iterator[Progress]:
    """A bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(options: Options, value: object, lines: Iterable[str]) -> None:
    """Print the object for a machine, or the lines for a person."""
    if options.json:
        click.echo(msgspec.json.encode(value))
    else:
        for line in lines:
            click.echo(line)


def log_of(places: Places) -> LogPlace:
    """Where the settings say that the log is."""
    return places.database_url or places.log_path


def _pace(events: int, seconds: float) -> str:
    return f"{events:,} events in {seconds:,.1f} s, {events / max(seconds, 1e-9):,.0f} a second"


@click.group()
@click.pass_obj
def audit(options: Options) -> None:
    """Replay, verify and explain the books, from the log alone."""
    options.only_reads = True


_WORKERS = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="In how many processes; as many as there are processors where nothing is said.",
)


@audit.command("verify")
@_WORKERS
@click.pass_obj
@_told
def verify_all(options: Options, workers: int | None) -> None:
    """Check the rules at every position, the books, and ours against the provider's."""
    places = options.settings
    with _progress("Verifying") as progress:
        found, seconds = verify.verify(log_of(places), places.test_bank_path, progress, workers)
    click.echo(_pace(found.events, seconds), err=options.json)
    _print(options, found, verify.describe(found))
    if not found.ok:
        sys.exit(FOUND)


@audit.command("replay")
@_WORKERS
@click.pass_obj
@_told
def replay_views(options: Options, workers: int | None) -> None:
    """Make the read models anew from the log and compare them with the live ones."""
    from app.audit import replay  # noqa: PLC0415 - the other commands need no views

    places = options.settings
    with _progress("Replaying") as progress:
        found, effort = replay.replay(log_of(places), places.views_path, progress, workers)
    click.echo(_pace(found.events, effort.seconds), err=options.json)
    _print(options, found, replay.describe(found, effort))
    if not found.identical:
        sys.exit(FOUND)


_CAMPAIGN = click.argument("campaign")
_AT = click.option("--at", "moment", metavar="POSITION|TIME", help="As it was then; UTC.")


@audit.command("explain")
@_CAMPAIGN
@click.argument("number", type=click.Choice(explain.NUMBERS))
@_AT
@click.pass_obj
@_told
def explain_number(
    options: Options, campaign: str, number: explain.Number, moment: str | None
) -> None:
    """List the events behind a NUMBER of a CAMPAIGN (its id, or the beginning of it)."""
    places = options.settings
    with closing(AuditLog(log_of(places))) as log:
        campaign_id = log.campaign_named(campaign)
        # First the page, then the log: so the page has read no further than we do.
        shown = None if moment else _shown(log, places.views_path, campaign_id, number)
        position = position_of(log, moment)
        found = explain.explain(log, campaign_id, number, position, shown)
    _print(options, found, explain.describe(found))
    if found.page is not None and not found.page.agrees:
        sys.exit(FOUND)


def _shown(
    log: AuditLog, views: Path, campaign_id: str, number: explain.Number
) -> explain.Shown | None:
    if not views.is_file():
        return None
    from app.audit.live_views import shown_number  # noqa: PLC0415 - a log alone needs no views

    return shown_number(views, log.log_id, campaign_id, number)


@audit.command("show")
@_CAMPAIGN
@_AT
@click.pass_obj
@_told
def show_campaign(options: Options, campaign: str, moment: str | None) -> None:
    """Print a CAMPAIGN (its id, or the beginning of it) as it was at a position or a time."""
    with closing(AuditLog(log_of(options.settings))) as log:
        position = position_of(log, moment)
        then = show.campaign_at(log, log.campaign_named(campaign), position)
    _print(options, then, show.describe(then))
