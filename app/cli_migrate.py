"""The command that gives the database the shape which this version works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.cli_options import STORE_FAULTS

if TYPE_CHECKING:
    from app.cli_options import Options
    from app.settings import Settings


class PlainlySpeaking(click.Group):
    """A group whose commands say in a sentence that the database is not as it has to be."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Run the command."""
        try:
            return super().invoke(ctx)
        except STORE_FAULTS as fault:
            raise click.ClickException(str(fault)) from fault


@click.command()
@click.pass_obj
def migrate(options: Options) -> None:
    """Make or upgrade the tables of the database, or of the files where there is none."""
    done = migrate_all(options.settings)
    for sentence in done:
        options.say(sentence)
    options.answer({"done": done})


def migrate_all(settings: Settings) -> list[str]:
    """Give every part its shape; return what was done, a sentence each.

    Several may do so at once. Raises one of STORE_FAULTS.
    """
    from app.log.opening import migrate_log, open_log, open_snapshots
    from app.stores.database import migrate_stores

    if settings.database_url:
        done = migrate_log(settings.database_url) or ["log, snapshots: nothing to do"]
    else:
        # The files of the log make and upgrade themselves when they are opened.
        was_there = settings.log_path.exists()
        open_log("", settings.log_path).close()
        open_snapshots("", settings.data_dir / "snapshots.db").close()
        done = [f"{settings.log_path.name}: {'nothing to do' if was_there else 'made'}"]
    return done + migrate_stores(settings)
