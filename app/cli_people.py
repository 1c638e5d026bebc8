"""The commands about people: who may do what in which channel."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from app.engine import clock_ms
from app.stores.accounts import Account, Accounts
from app.stores.channels import Channel, Channels
from app.stores.database import open_people
from app.stores.people import People, Role

if TYPE_CHECKING:
    from app.cli_options import Options

CHANNEL_ROLES: Final = ("staff", "treasurer", "auditor")
"""The roles that are given in a channel; everybody may back, and create."""

OPERATOR: Final = "operator"
"""Who gave a role that was given on the command line."""


@click.group()
def people() -> None:
    """People with a role in a channel: given, taken, listed."""


_mail = click.option("--mail", required=True, help="The person's mail address.")
_channel = click.option("--channel", required=True, help="The channel's id or name.")
_role = click.option("--role", type=click.Choice(CHANNEL_ROLES), required=True, help="As what.")


@people.command("grant")
@_mail
@_channel
@_role
@click.pass_obj
def grant(options: Options, mail: str, channel: str, role: Role) -> None:
    """Give a person a role in a channel; who has no account gets one, and signs in by mail."""

    async def work() -> None:
        engine = await open_people(options.settings)
        try:
            found = await find_channel(engine, channel)
            account, is_new = await _account(engine, mail)
            await Accounts(engine).grant(account.party, found.id, role, by=OPERATOR, at=clock_ms())
        finally:
            await engine.dispose()
        if is_new:
            options.say(f"{account.mail} had no account: it has one now, without a password.")
        options.say(f"{account.mail} is {role} of {found.name}.")
        options.answer({"party": account.party, "channel": found.id, "role": role, "new": is_new})

    asyncio.run(work())


@people.command("revoke")
@_mail
@_channel
@_role
@click.pass_obj
def revoke(options: Options, mail: str, channel: str, role: Role) -> None:
    """Take a person's role in a channel away, with the API keys that they made for it."""

    async def work() -> None:
        from app.stores.api_keys import ApiKeys

        engine = await open_people(options.settings)
        try:
            found = await find_channel(engine, channel)
            account = await Accounts(engine).by_mail(mail)
            if account is None:
                raise click.ClickException(f"There is no account of {mail}.")
            await Accounts(engine).revoke(account.party, found.id, role)
            await ApiKeys(engine).revoke_role(account.party, role, found.id, at=clock_ms())
        finally:
            await engine.dispose()
        options.say(f"{account.mail} is not {role} of {found.name} any more.")
        options.answer({"party": account.party, "channel": found.id, "role": role})

    asyncio.run(work())


@people.command("list")
@click.pass_obj
def list_people(options: Options) -> None:
    """List who has which role in which channel."""

    async def work() -> None:
        engine = await open_people(options.settings)
        try:
            rows = await _holders(engine)
        finally:
            await engine.dispose()
        table = Table("channel", "role", "mail", "name", "since", "given by", box=None)
        for row in rows:
            since = datetime.fromtimestamp(int(str(row["granted_at"])) / 1000, UTC)
            table.add_row(
                str(row["channel_name"]),
                str(row["role"]),
                str(row["mail"]),
                str(row["name"]),
                since.strftime("%Y-%m-%d"),
                str(row["granted_by"]),
            )
        Console(stderr=options.json, soft_wrap=True).print(table)
        options.answer(rows)

    asyncio.run(work())


async def find_channel(engine: AsyncEngine, text: str) -> Channel:
    """The channel with this id or name. Raises ClickException, naming those there are."""
    channels = await Channels(engine).all()
    found = [channel for channel in channels if text in {channel.id, channel.name}]
    if len(found) == 1:
        return found[0]
    known = "\n".join(f"  {channel.id}  {channel.name}" for channel in channels)
    said = "Several channels have" if found else "No channel has"
    raise click.ClickException(f"{said} this id or name: {text}\n{known or '  (no channel yet)'}")


async def _account(engine: AsyncEngine, mail: str) -> tuple[Account, bool]:
    """The account of an address, made where there is none, and whether it was."""
    from app.web.accounts.addresses import is_mail

    if not is_mail(mail):
        raise click.ClickException(f"This is no mail address: {mail}")
    account = await Accounts(engine).by_mail(mail)
    if account is not None:
        return account, False
    return await Accounts(engine).open(mail, at=clock_ms()), True


async def _holders(engine: AsyncEngine) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for channel in await Channels(engine).all():
        held = await Accounts(engine).holders(channel.id)
        accounts = await Accounts(engine).of_parties([party for party, *_ in held])
        names = await People(engine).names(party for party, *_ in held)
        rows += [
            {
                "party": party,
                "channel": channel.id,
                "channel_name": channel.name,
                "role": role,
                "mail": accounts[party].mail if party in accounts else "",
                "name": names.get(party, ""),
                "granted_at": granted_at,
                "granted_by": granted_by,
            }
            for party, role, granted_at, granted_by in held
        ]
    return rows
