"""The command `tributary`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from app.audit.commands import audit
from app.cli_backup import accept_restore, backup
from app.cli_log import log_group
from app.cli_migrate import PlainlySpeaking, migrate
from app.cli_options import Options
from app.cli_people import find_channel, people
from app.cli_receipt import receipt
from app.cli_witness import witness
from app.engine import clock_ms
from app.following.seen import ForkedLogError
from app.stores.api_keys import ApiKey, ApiKeys, Scope, UnknownKeyError, beyond_role
from app.stores.database import open_people
from app.stores.people import People, Role
from domain.money import format_minor
from domain.terms import DAY_MS


@click.group(cls=PlainlySpeaking, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The data directory (default: ./var, or what the environment says).",
)
@click.option("--json", is_flag=True, help="The last line of standard output is one JSON object.")
@click.pass_context
def main(context: click.Context, data_dir: Path | None, *, json: bool) -> None:
    """Tributary: a crowdfunding channel whose books anyone can replay and check."""
    context.obj = Options(data_dir, json=json)


main.add_command(audit)
main.add_command(people)
main.add_command(migrate)
main.add_command(backup)
main.add_command(accept_restore)
main.add_command(log_group)
main.add_command(receipt)
main.add_command(witness)

MOST_WORKERS = 64

_host = click.option("--host", help="Where to listen (default 127.0.0.1).")
_port = click.option("--port", type=int, help="On which port (default 8000).")


def _run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@contextmanager
def _until_told() -> Iterator[None]:
    """Run a server; Ctrl-C is how it is told to stop, not a fault."""
    from app.serving.server import CannotServeError

    try:
        with suppress(KeyboardInterrupt):
            yield
    except (CannotServeError, ForkedLogError) as fault:
        raise click.ClickException(str(fault)) from fault


# --- Serving -------------------------------------------------------------------------------------


@main.command()
@_host
@_port
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    help="Processes that answer requests (default 1).",
)
@click.option("--no-follow", is_flag=True, help="Leave following to `tributary follow`.")
@click.pass_obj
def serve(
    options: Options, host: str | None, port: int | None, workers: int, *, no_follow: bool
) -> None:
    """Serve the site and the API, and run the processes behind them."""
    from app.serving.server import serve as serve_platform

    settings = options.with_address(host, port)
    with _until_told():
        serve_platform(settings, workers=workers, follow=not no_follow)


@main.command()
@click.pass_obj
def follow(options: Options) -> None:
    """Follow the log without answering requests; stand by while another process does."""
    from app.serving.server import follow as follow_log

    settings = options.settings
    with _until_told():
        follow_log(settings)


@main.command()
@_host
@_port
@click.pass_obj
def demo(options: Options, host: str | None, port: int | None) -> None:
    """Fill an empty data directory with sample campaigns, serve it, and keep it lively."""
    from app.serving.server import run_demo

    settings = options.with_address(host, port, demo=True)
    with _until_told():
        run_demo(settings, options.say)


# --- Histories -----------------------------------------------------------------------------------


@main.group()
def simulate() -> None:
    """Run real histories through the engine, with time taken from the data."""


@simulate.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def catarse(options: Options, folder: Path) -> None:
    """Run the contributions of Catarse, 2011 to 2016, from DIR through the engine."""
    from app.simulation.catarse import DataError
    from app.simulation.command import simulate_catarse
    from app.simulation.run import LogNotEmptyError

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("days", total=None)
        try:
            result, seconds, events = asyncio.run(
                simulate_catarse(
                    options.settings,
                    folder,
                    lambda done, total: bar.update(task, completed=done, total=total),
                )
            )
        except (DataError, LogNotEmptyError) as fault:
            raise click.ClickException(str(fault)) from fault
    options.say(
        f"{result.campaigns:,} campaigns, {result.pledges:,} pledges,"
        f" {format_minor(result.pledged_minor, 'BRL')} pledged;"
        f" {events:,} events in {seconds:,.1f} s, {events / seconds:,.0f} a second."
    )
    options.say(
        f"Of {result.finished_aon:,} finished all-or-nothing campaigns {result.match_rule:,} ended"
        f" as the rule says and {result.match_source:,} as the source says."
    )
    options.answer(result)


@main.command()
@click.pass_obj
def rebuild(options: Options) -> None:
    """Build the read models anew beside the live ones, and switch to them."""
    from app.serving.rebuilding import rebuild_views

    events, seconds = rebuild_views(options.settings)
    options.say(f"Rebuilt from {events:,} events in {seconds:,.1f} s.")
    options.answer({"events": events})


# --- Keys ----------------------------------------------------------------------------------------


@main.group()
def keys() -> None:
    """API keys: made, listed, revoked. A token is shown once and stored hashed."""


@keys.command("create")
@click.option("--role", type=click.Choice(get_args(Role)), required=True, help="For what role.")
@click.option("--owner", help="The party id that the key speaks for (default: a new party).")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(get_args(Scope)), help="Repeatable."
)
@click.option("--days", type=click.IntRange(1), help="How long the key works (default: for ever).")
@click.option("--channel", help="Where its role counts: a channel's id or name (default: all).")
@click.pass_obj
def create_key(
    options: Options,
    role: Role,
    owner: str | None,
    scopes: tuple[Scope, ...],
    days: int | None,
    channel: str | None,
) -> None:
    """Make a key and print its token."""
    if beyond := beyond_role(role, scopes):
        raise click.ClickException(f"A key of the role {role} cannot have: {', '.join(beyond)}.")

    async def create() -> None:
        engine = await open_people(options.settings)
        try:
            at = clock_ms()
            channel_id = (await find_channel(engine, channel)).id if channel else ""
            party = owner or await People(engine).add_person(role, at=at)
            token, key = await ApiKeys(engine).create(
                role=role,
                owner=party,
                scopes=scopes or None,
                at=at,
                expires_at=None if days is None else at + days * DAY_MS,
                channel=channel_id,
            )
        finally:
            await engine.dispose()
        if options.json:
            options.answer({"token": token, **_told(key)})
        else:
            click.echo(token)
        click.echo(f"Key {key.id} of {key.by}. This token is not shown again.", err=True)

    _run(create())


@keys.command("list")
@click.pass_obj
def list_keys(options: Options) -> None:
    """List every key, never its token."""

    async def show() -> None:
        engine = await open_people(options.settings)
        try:
            found = await ApiKeys(engine).all()
        finally:
            await engine.dispose()
        # Ids are copied from here: they are folded where the screen is narrow, never cut.
        table = Table(
            *(Column(name, no_wrap=True) for name in ("id", "role")),
            *(Column(name, overflow="fold") for name in ("channel", "owner")),
            *("scopes", "created", "ends"),
            box=None,
        )
        for key in found:
            ends = _day(min(filter(None, (key.revoked_at, key.expires_at)), default=None))
            scopes = " ".join(sorted(key.scopes))
            table.add_row(
                key.id, key.role, key.channel, key.owner, scopes, _day(key.created_at), ends
            )
        Console(stderr=options.json, soft_wrap=True).print(table)
        options.answer([_told(key) for key in found])

    _run(show())


def _told(key: ApiKey) -> dict[str, object]:
    """A key as the commands answer it to machines; times ms UTC, `channel` empty for all."""
    return {
        "id": key.id,
        "role": key.role,
        "owner": key.owner,
        "channel": key.channel,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def _day(at: int | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@click.pass_obj
def revoke_key(options: Options, key_id: str) -> None:
    """End the key with this ID."""

    async def revoke() -> None:
        engine = await open_people(options.settings)
        try:
            await ApiKeys(engine).revoke(key_id, at=clock_ms())
        except UnknownKeyError as fault:
            raise click.ClickException(f"There is no key {key_id}.") from fault
        finally:
            await engine.dispose()
        options.say(f"Key {key_id} is revoked.")

    _run(revoke())
