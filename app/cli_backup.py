"""The commands that copy a platform, and go on from a copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.following.seen import ForkedLogError
from app.serving.backup import BackupError, InUseError, accept, back_up, compare, foretold

if TYPE_CHECKING:
    from app.cli_options import Options

MEANS = """\
Going on from here means:
  - Positions and pledge numbers after {position:,} are given to other facts than before. Whoever
    kept what is lost (a mail, a page, a copy of the log, a provider's key) has another story.
  - Backers whose pledges are lost are told nothing by Tributary: it does not know them any more.
    Money that the provider moved for lost events shows in `tributary audit verify`, as lines of
    its statement that fit nothing.
  - What the transparency log signed of lost events cannot be continued: it goes on under its name
    only where it is certain that nothing of that is lost (see below).
  - The work of the processes is made anew from the log; views, search index and snapshots too.
  - Every other machine on this log must be stopped, and accept the same log."""


@click.command()
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def backup(options: Options, target: Path) -> None:
    """Copy the log, people and work to a new directory DIR, while the server runs."""
    try:
        point = back_up(options.settings, target)
    except BackupError as fault:
        raise click.ClickException(str(fault)) from fault
    options.say(f"Copied to {target}: the log up to position {point.position:,}.")
    options.answer({"log_id": point.log_id, "position": point.position, "sha256": point.sha256})


@click.command("accept-restore")
@click.option(
    "--seen",
    "seen_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compare with this `seen.json`, such as that of the machine that was lost.",
)
@click.option(
    "--erased",
    "erased_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Erase again whom this newer `erased.json` names.",
)
@click.option(
    "--signed",
    "signed_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What the transparency log signed last: `signed.json` of the machine that was lost.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def accept_restore(
    options: Options,
    seen_file: Path | None,
    erased_file: Path | None,
    signed_file: Path | None,
    *,
    yes: bool,
) -> None:
    """Go on from a log that ends earlier than the one that was seen, and say what that means."""
    settings = options.settings
    try:
        found = compare(settings, seen_file)
    except ForkedLogError as fault:
        if seen_file is not None:
            raise click.ClickException(str(fault)) from fault
        found = None  # what was noted here cannot be read: there is nothing to compare with
    if found is not None:
        options.say(f"The log {found.now.log_id} ends at position {found.now.position:,}.")
        if found.backup is not None:
            options.say(f"It was restored from a backup that ends at {found.backup.position:,}.")
        if found.seen is None:
            options.say("Nothing is noted here of what was seen before.")
        elif found.differs:
            options.say(found.differs)
        else:
            options.say(
                f"Position {found.seen.position:,}, the last that was seen, is in it:"
                " nothing that was seen is lost."
            )
        options.say(MEANS.format(position=found.now.position))
    if told := foretold(settings, signed_file):
        options.say(told)
    if not yes:
        click.confirm("Let this log be the one that counts?", abort=True, err=True)
    try:
        accepted = accept(settings, erased_file, signed_file)
    except InUseError as fault:
        raise click.ClickException(str(fault)) from fault
    if accepted.erased:
        options.say(f"{accepted.erased} ids are new on the list of erased persons.")
    if accepted.transparency:
        options.say(accepted.transparency)
    options.say("Accepted. Start the server; it makes the views anew.")
    options.answer({"position": 0 if found is None else found.now.position})
