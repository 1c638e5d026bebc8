"""`tributary audit public`: the audit from outside, as it is typed and as it is printed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from app.audit.findings import Finding
from app.audit.progress import Progress
from app.transparency.note import NoteError, VerifierKey

FOUND = 1
CANNOT = 2


class Options(Protocol):
    """What the global options say."""

    @property
    def json(self) -> bool:
        """Whether the last line of standard output is one JSON object."""


class _Key(click.ParamType[VerifierKey]):
    """A public key as notes have it."""

    name = "vkey"

    def convert(self, value: Any, param: Any, ctx: Any) -> VerifierKey:  # noqa: ANN401 - click's own
        """Read it, or say why not."""
        if isinstance(value, VerifierKey):
            return value
        try:
            return VerifierKey.parse(str(value).strip())
        except NoteError as fault:
            self.fail(f"{fault}.", param, ctx)


def _plain(line: str) -> str:
    """A line without what would steer a terminal: some of it is the log's own words."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in line)


@contextmanager
def _bars() -> Iterator[Callable[[str], Progress]]:
    """Bars on standard error, one after another, where that is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def begin(doing: str) -> Progress:
            for task in bar.task_ids:
                bar.remove_task(task)
            task = bar.add_task(doing, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        yield begin


def _refused(findings: tuple[Finding, ...], refused: str) -> dict[str, object]:
    """The object of a log whose checkpoint is none."""
    return {"ok": False, "refused": refused, "findings": findings}


@click.command("public")
@click.argument("place", metavar="URL|DIR")
@click.option("--key", type=_Key(), help="The log's public key, from somebody else than the log.")
@click.option(
    "--witness", "witnesses", type=_Key(), multiple=True, help="A witness's key. Repeatable."
)
@click.option(
    "--quorum",
    type=click.IntRange(min=0),
    help="How many of the witnesses must have signed (default: all that are given).",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep what is published in DIR, and hold the log to what was kept there before.",
)
@click.option("--at", metavar="SIZE", type=int, help="Look at the first so many leaves, 1 or more.")
@click.pass_obj
def audit_public(
    options: Options,
    place: str,
    key: VerifierKey | None,
    witnesses: tuple[VerifierKey, ...],
    quorum: int | None,
    save: Path | None,
    at: int | None,
) -> None:
    """Check a log from outside, by what it publishes at URL or by a mirror of it in DIR.

    Needs none of our files: every hash is made anew from the published leaves, every opening held
    to its leaf, and every total added up.
    """
    from app.audit.public import (  # noqa: PLC0415 - the other commands need none of this
        Asked,
        CheckpointRefusedError,
        PublicAuditor,
    )
    from app.audit.public_mirror import Mirror  # noqa: PLC0415 - the same
    from app.audit.public_source import (  # noqa: PLC0415 - the same
        CannotReadError,
        Source,
        open_source,
    )
    from app.audit.public_wording import describe, unchanged  # noqa: PLC0415 - the same

    if quorum is not None and quorum > len(witnesses):
        raise click.UsageError(f"--quorum {quorum} takes as many --witness options, or more.")
    asked = Asked(key, witnesses, len(witnesses) if quorum is None else quorum, at)
    try:
        source: Source = open_source(place)
        if save is not None:
            source = Mirror(source, save)
        with closing(source), _bars() as watch:
            found = PublicAuditor(source, asked, watch).run()
    except CannotReadError as fault:
        click.echo(_plain(f"Error: {fault}"), err=True)
        sys.exit(CANNOT)
    except CheckpointRefusedError as fault:
        if options.json:
            click.echo(msgspec.json.encode(_refused(fault.findings, fault.refused)))
        else:
            for finding in fault.findings:
                click.echo(_plain(str(finding)))
            if fault.refused:
                click.echo(_plain(unchanged(fault.refused)))
        sys.exit(FOUND)
    except Exception as fault:  # noqa: BLE001 - whatever bytes a log makes up are no finding
        click.echo(f"Error: This cannot be checked: {type(fault).__name__}.", err=True)
        sys.exit(CANNOT)
    if options.json:
        click.echo(msgspec.json.encode({"ok": found.ok, **msgspec.structs.asdict(found)}))
    else:
        for line in describe(found):
            click.echo(_plain(line))
    if not found.ok:
        sys.exit(FOUND)
