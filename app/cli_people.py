"""The commands about people: who may do what in which channel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from app.engine import clock_ms
from app.stores.accounts import Account, Accounts
from app.stores.channels import Channel, Channels
from app.stores.database import open_people
from app.stores.people import People, Role, UnknownPartyError

if TYPE_CHECKING:
    from app.cli_options import Options

CHANNEL_ROLES: Final = ("staff", "treasurer", "auditor")
"""The roles that are given in a channel; everybody may back, and create."""

OPERATOR: Final = "operator"
"""Who gave a role that was given on the command line."""


@click.group()
def people() -> None:
    """People: roles in a channel given, taken and listed; persons erased."""


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


@people.command("erase")
@click.argument("who", metavar="ID|MAIL")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def erase(options: Options, who: str, *, yes: bool) -> None:
    """Erase a person for good, by a party's id or a mail address, while a server runs or not."""
    found = asyncio.run(_person(options, who))
    for sentence in _what_happens(found):
        options.say(sentence)
    if not yes:
        click.confirm("Erase this person?", abort=True, err=True)
    places, swept = asyncio.run(_erase(options, found))
    options.say(f"Erased. The log says so at position {max(places.values()):,}.")
    if not swept:
        options.say("The server takes the last traces out of its files within a minute or two.")
    options.answer({"parties": sorted(places), "positions": places, "swept": swept})


@people.command("erased")
@click.pass_obj
def erased(options: Options) -> None:
    """List who was erased, by random ids: since when, and where the log says so."""
    from app.erasing import list_of

    entries = sorted(list_of(options.settings).read().values(), key=lambda entry: entry.at)
    table = Table("party", "erased", "position", "last traces", box=None)
    for entry in entries:
        at = datetime.fromtimestamp(entry.at / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        place = f"{entry.position:,}" if entry.position else "not yet"
        table.add_row(entry.party, at, place, "gone" if entry.swept else "not yet")
    Console(stderr=options.json, soft_wrap=True).print(table)
    options.answer(entries)


class Found(Struct, frozen=True):
    """A person as the store knows one: all ids, the mail address ("" for none), how many rows lie
    in which table, and ids that only gave the same address.
    """

    parties: frozenset[str]
    mail: str
    held: dict[str, int]
    others: tuple[str, ...]


async def _person(options: Options, who: str) -> Found:
    """Whom an id or an address means. Raises ClickException for nobody."""
    from app.stores.accounts import normal_mail
    from app.stores.erasure import Erasure

    engine = await open_people(options.settings)
    accounts, persons = Accounts(engine), People(engine)
    try:
        if "@" in who:
            mail = normal_mail(who)
            account, alike = await accounts.by_mail(mail), await persons.with_mail(mail)
            own = frozenset(alike) if account is None else await accounts.parties_of(account.party)
        else:
            account = (await accounts.of_parties([who])).get(who)
            mail = (await persons.get(who)).mail if account is None else account.mail
            alike = await persons.with_mail(mail) if mail else []
            own = frozenset((who,)) if account is None else await accounts.parties_of(account.party)
        if not own:
            raise click.ClickException(f"Nobody here has the address {who}.")
        held = await Erasure(engine).held_about(own, mail)
    except UnknownPartyError as fault:
        raise click.ClickException(f"Nobody here has the id {who}.") from fault
    finally:
        await engine.dispose()
    counts = {name: len(rows) for name, rows in held.items()}
    return Found(own, mail, counts, tuple(sorted(set(alike) - own)))


def _what_happens(found: Found) -> Iterator[str]:
    from app.stores.erasure import HOLDINGS
    from app.web.accounts.data_pages import STAYS

    yield f"{found.mail or 'A person without an address'}, known by {len(found.parties)} ids:"
    yield from (f"  {party}" for party in sorted(found.parties))
    yield "What goes, for good: name and address, the key of the commitments about them, and"
    goes = [name for name in found.held if name in HOLDINGS and HOLDINGS[name].fate != "kept"]
    yield "  " + ", ".join(f"{found.held[name]} in {name}" for name in goes if name != "parties")
    yield "What stays, and why:"
    yield "  The log: amounts, times and random ids, and now that these ids were erased."
    stays = [STAYS[name] for name in found.held if STAYS.get(name)]
    yield from (f"  {said}" for said in stays)
    yield (
        "Pledges that stand go on standing: what was promised is charged, what was charged can go"
        " back; nobody can be told."
    )
    if found.others:
        yield "These ids gave the same address and never proved it; they lose it, and stay:"
        yield from (f"  {party}" for party in found.others)


async def _erase(options: Options, found: Found) -> tuple[dict[str, int], bool]:
    """Erase; where the log says so, and whether the last traces are gone, too."""
    from app.engine import Engine, PlatformDecider
    from app.erasing import BY_OPERATOR, Erasing, log_secret_of
    from app.following.lock import FollowLock
    from app.following.seen import ForkedLogError, require_same_log
    from app.log.opening import open_log, open_snapshots

    settings = options.settings
    people = await open_people(settings)
    log = open_log(settings.database_url, settings.log_path)
    snapshots = open_snapshots(settings.database_url, settings.data_dir / "snapshots.db")
    try:
        require_same_log(settings.data_dir, log)
        with Engine(log, snapshots, PlatformDecider()) as engine:
            secret = log_secret_of(settings)
            erasing = Erasing(settings, people, log, engine.submit_async, clock_ms, secret)
            places = await erasing.erase(found.parties, found.mail, by=BY_OPERATOR)
        await people.dispose()
        with FollowLock(settings.data_dir) as lock:
            if not lock.take():
                return places, False
            for path in settings.data_dir.glob("search.db*"):
                path.unlink()  # it is made anew
            return places, erasing.sweep()
    except ForkedLogError as fault:
        raise click.ClickException(str(fault)) from fault
    finally:
        await people.dispose()
        snapshots.close()
        log.close()


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
