"""What the commands of `tributary audit` share: where the files are, what is said, how it ends.

With `--json` standard output holds one line, the object; else it holds text for people. Progress
goes to standard error, where that is a terminal. Exit code 0: all is well; 1: something was found;
2: the question could not be answered.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, ParamSpec, Protocol

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from app.audit.progress import Progress
from app.audit.reader import CannotAudit, LogPlace
from app.log import UnreadableEvent

if TYPE_CHECKING:
    from app.settings import Settings

P = ParamSpec("P")

FOUND: Final = 1
CANNOT: Final = 2


class Options(Protocol):
    """What the global options say; `ctx.obj` of every command here."""

    @property
    def settings(self) -> Settings:
        """Where the files are, and the keys."""

    only_reads: bool
    """Whether nothing may be made on the disk."""

    @property
    def json(self) -> bool:
        """Whether the last line of standard output is one JSON object."""


def told(command: Callable[P, None]) -> Callable[P, None]:
    """End with a sentence and exit code 2 where the question cannot be answered."""

    @wraps(command)
    def telling(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (CannotAudit, UnreadableEvent) as fault:
            stop(str(fault))
        except sqlite3.Error as fault:
            stop(f"A file cannot be read: {fault}.")

    return telling


def stop(sentence: str) -> NoReturn:
    """Say why the question cannot be answered, and end with exit code 2."""
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(CANNOT)


@contextmanager
def progress_bar(doing: str) -> Iterator[Progress]:
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


def print_found(options: Options, value: object, lines: Iterable[str]) -> None:
    """Print the object for a machine, or the lines for a person."""
    if options.json:
        click.echo(msgspec.json.encode(value))
    else:
        for line in lines:
            click.echo(line)


def pace(events: int, seconds: float) -> str:
    """How fast it went."""
    return f"{events:,} events in {seconds:,.1f} s, {events / max(seconds, 1e-9):,.0f} a second"


def log_of(settings: Settings) -> LogPlace:
    """Where the settings say that the log is."""
    return settings.database_url or settings.log_path


def existing(path: Path) -> Path | None:
    """A file where it is there."""
    return path if path.is_file() else None


CAMPAIGN: Final = click.argument("campaign")
AT: Final = click.option("--at", "moment", metavar="POSITION|TIME", help="As it was then; UTC.")
WORKERS: Final = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="In how many processes; as many as there are processors where nothing is said.",
)
