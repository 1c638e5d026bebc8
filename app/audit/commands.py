"""`tributary audit …`: what is typed, and what is printed. What the commands share is in
`app.audit.commanding`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.audit import diff, explain, show, verify
from app.audit.commanding import (
    AT,
    CAMPAIGN,
    FOUND,
    WORKERS,
    Options,
    log_of,
    pace,
    print_found,
    progress_bar,
    told,
)
from app.audit.export.command import export_books
from app.audit.last import LastCheckpoint, LastReplay, LastVerify, keep_replay, keep_verify
from app.audit.moments import position_of
from app.audit.public_command import audit_public
from app.audit.reader import AuditLog, CannotAudit
from app.audit.tree import TreeFound
from app.audit.tree_place import Outside, TreePlace, tree_of

if TYPE_CHECKING:
    from app.settings import Settings

__all__ = ["audit", "log_of"]

_KEEP = click.option(
    "--keep",
    is_flag=True,
    help="Keep the result as audit.json in the data directory, for the audit page.",
)


@click.group()
@click.pass_obj
def audit(options: Options) -> None:
    """Replay, verify and explain the books, from the log alone."""
    options.only_reads = True


audit.add_command(export_books)
audit.add_command(audit_public)


def _whole_or_not_kept(moment: str | None, *, keep: bool) -> None:
    if keep and moment is not None:
        raise click.UsageError("Kept is what was found of the whole: --keep does not go with --at.")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@audit.command("verify")
@AT
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A checkpoint that was kept elsewhere: a signed note, or a receipt. Several may be given.",
)
@click.option(
    "--key",
    "keys",
    metavar="VKEY",
    multiple=True,
    help="Who must have signed these: the log's key as it was known elsewhere.",
)
@_KEEP
@WORKERS
@click.pass_obj
@told
def verify_all(
    options: Options,
    moment: str | None,
    checkpoints: tuple[Path, ...],
    keys: tuple[str, ...],
    workers: int | None,
    *,
    keep: bool,
) -> None:
    """Check the rules at every position, the books, ours against the provider's, and that the
    transparency log is that of these events.
    """
    _whole_or_not_kept(moment, keep=keep)
    settings = options.settings
    tree = _tree(settings, checkpoints, keys)
    with progress_bar("Verifying") as progress:
        found, effort = verify.verify(
            log_of(settings), settings.test_bank_path, progress, workers, moment=moment, tree=tree
        )
    click.echo(pace(found.events, effort.seconds), err=options.json)
    print_found(options, found, verify.describe(found))
    if keep:
        last = LastVerify(
            at=_now_ms(),
            position=effort.position,
            ok=found.ok,
            violations=sum(effort.by_kind.values()),
            seconds=effort.seconds,
            **_of_tree(found.tree),
        )
        keep_verify(settings.last_audit_path, last, effort.by_kind, found.violations)
    if not found.ok:
        sys.exit(FOUND)


def _tree(settings: Settings, checkpoints: Sequence[Path], keys: tuple[str, ...]) -> TreePlace:
    try:
        outside = tuple(
            Outside(str(path), path.read_text(encoding="utf-8")) for path in checkpoints
        )
    except UnicodeDecodeError as fault:
        raise CannotAudit(f"A checkpoint is text, and this is none: {fault}.") from fault
    return tree_of(settings, outside, keys)


def _of_tree(found: TreeFound | None) -> dict[str, Any]:
    if found is None:
        return {}
    newest = None
    if found.checkpoint:
        newest = LastCheckpoint(found.checkpoint, found.checkpoint_root)
    return {"tree": True, "checkpoint": newest, "unopenable": found.unopenable}


@audit.command("replay")
@AT
@_KEEP
@WORKERS
@click.pass_obj
@told
def replay_views(options: Options, moment: str | None, workers: int | None, *, keep: bool) -> None:
    """Make the read models anew from the log and compare them with the live ones.

    With --at they are made up to there, and compared where the live ones stand there, too; a digest
    of every table is printed, for another run or another machine to compare.
    """
    from app.audit import replay  # noqa: PLC0415 - the other commands need no views

    _whole_or_not_kept(moment, keep=keep)
    settings = options.settings
    with progress_bar("Replaying") as progress:
        found, effort = replay.replay(
            log_of(settings),
            settings.views_path,
            progress,
            workers,
            moment=moment,
            with_digest=keep,
        )
    click.echo(pace(found.events, effort.seconds), err=options.json)
    print_found(options, found, replay.describe(found, effort))
    if keep:
        last = LastReplay(
            at=_now_ms(),
            position=effort.position,
            identical=found.identical,
            seconds=effort.seconds,
            digest=found.digest,
        )
        keep_replay(settings.last_audit_path, last)
    if not found.ok:
        sys.exit(FOUND)


@audit.command("explain")
@CAMPAIGN
@click.argument("number", type=click.Choice(explain.NUMBERS))
@AT
@click.pass_obj
@told
def explain_number(
    options: Options, campaign: str, number: explain.Number, moment: str | None
) -> None:
    """List the events behind a NUMBER of a CAMPAIGN (its id, or the beginning of it)."""
    settings = options.settings
    with closing(AuditLog(log_of(settings))) as log:
        campaign_id = log.campaign_named(campaign)
        # First the page, then the log: so the page has read no further than we do.
        shown = None if moment else _shown(log, settings.views_path, campaign_id, number)
        position = position_of(log, moment)
        found = explain.explain(log, campaign_id, number, position, shown)
    print_found(options, found, explain.describe(found))
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
@CAMPAIGN
@AT
@click.pass_obj
@told
def show_campaign(options: Options, campaign: str, moment: str | None) -> None:
    """Print a CAMPAIGN (its id, or the beginning of it) as it was at a position or a time."""
    with closing(AuditLog(log_of(options.settings))) as log:
        position = position_of(log, moment)
        then = show.campaign_at(log, log.campaign_named(campaign), position)
    print_found(options, then, show.describe(then))


@audit.command("diff")
@click.argument("after", metavar="A")
@click.argument("until", metavar="B")
@click.option("--campaign", help="Of this campaign alone (its id, or the beginning of it).")
@click.pass_obj
@told
def what_changed(options: Options, after: str, until: str, campaign: str | None) -> None:
    """Say what changed after A up to B, each a POSITION or a TIME; 0 is before the first event."""
    with closing(AuditLog(log_of(options.settings))) as log, progress_bar("Comparing") as progress:
        campaign_id = "" if campaign is None else log.campaign_named(campaign)
        places = (position_of(log, after, 0), position_of(log, until, 0))
        found = diff.diff(log, *places, campaign_id, progress)
    print_found(options, found, diff.describe(found))
