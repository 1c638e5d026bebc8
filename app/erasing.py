"""How a person is erased, whoever asks: their page, the API, the operator, or a restored backup.

In this order, so that whatever ends it half-way leaves what the next start finishes: the erasure
list (what is to be done), the rows and with them the key, the fact in the log, and at last the
sweep, after which their bytes are nowhere in our files. Doing it again changes nothing.

The fact carries a seal over the stored events about the person, whose commitments open for nobody
now. It is made of the log and its secret alone, so that whoever finishes an erasure can make it.
"""

from __future__ import annotations

import asyncio
import fcntl
import hmac
import logging
import os
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct
from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.sources import CannotAudit
from app.audit.tree_place import TreeStore, tree_of
from app.engine import Outcome
from app.keys import fingerprint
from app.settings import Settings, SettingsError
from app.stores.accounts import ACCOUNTS
from app.stores.erasure import Erasure
from app.stores.people import PARTIES
from app.stores.rows import in_parts
from app.stores.sweeping import sweep
from app.transparency.sealing import NO_SEAL, Log, Seal, seals_of
from domain.commands import EraseSubject
from domain.subject import SUBJECT

FILE: Final = "erased.json"
BY: Final = "system:erasure"
"""Who erased where the person asked: the log does not tell by which of their ids."""
BY_OPERATOR: Final = "system:operator"

_SPACE: Final = uuid.UUID("5f0c5b9e-9f0e-4f4e-8d5c-0a8d6f6a0f11")

_logger = logging.getLogger(__name__)

Submit = Callable[[EraseSubject], Awaitable[Outcome]]


class Erased(Struct, frozen=True):
    """A party on the list: since when (ms UTC), where the log says so (0: not yet), and whether
    the last bytes have left our files.
    """

    party: str
    at: int
    position: int = 0
    swept: bool = False


class _Listed(Struct):
    erased: list[Erased]


class ErasureList:
    """The file `erased.json` in the keys directory: who was erased, by random ids alone.

    It lies outside the databases, so that a restored backup is told whom to forget again. Several
    processes may write it; what was written is on disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Erased]:
        """Everybody on it. Raises SettingsError where it cannot be read: nobody is served then, as
        somebody may come back who asked to be forgotten.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            found = msgspec.json.decode(data, type=_Listed).erased
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            raise SettingsError(
                f"{self._path}, the list of erased persons, cannot be read ({fault}): put it back"
                " from a backup of the keys directory"
            ) from fault
        return {entry.party: entry for entry in found}

    def put(self, entries: Collection[Erased]) -> None:
        """Add parties, or what is known of them now."""
        if not entries:
            return
        with self._alone():
            known = self.read()
            known |= {entry.party: entry for entry in entries}
            self._write(known)

    def merge(self, other: Mapping[str, Erased]) -> int:
        """Add those of another list that are missing here; return how many."""
        with self._alone():
            known = self.read()
            new = {
                party: Erased(party, entry.at)
                for party, entry in other.items()
                if party not in known
            }
            if new:
                self._write(known | new)
        return len(new)

    def _write(self, known: Mapping[str, Erased]) -> None:
        whole = msgspec.json.format(msgspec.json.encode(_Listed(list(known.values()))), indent=1)
        own = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(whole)
            file.flush()
            os.fsync(file.fileno())
        own.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(
            self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def list_of(settings: Settings) -> ErasureList:
    """The erasure list of a platform."""
    return ErasureList(settings.keys_dir / FILE)


def log_secret_of(settings: Settings) -> bytes:
    """What salts the commitments of a platform's log, for who does not open its tree; empty where
    it is not at hand, or not that of the tree.
    """
    try:
        place = tree_of(settings)
        with closing(TreeStore(place.store)) as store:
            trees = store.trees()
    except (SettingsError, CannotAudit) as fault:
        _logger.warning("the log's secret is not at hand: %s", fault)
        return b""
    if not place.log_secret or not trees:
        return b""
    is_right = hmac.compare_digest(fingerprint(place.log_secret), trees[-1].log_secret)
    return place.log_secret if is_right else b""


class Facts(Log, Protocol):
    """What of the log is asked for."""

    def position_of(self, stream: str, version: int) -> int | None:
        """Where a stream's version stands."""


class Erasing:
    """Erases persons. `submit` gives a command to the engine of `log`, `clock` tells ms UTC.

    `log_secret` is what salts the log's commitments, with which events are sealed; empty where it
    is not at hand: then they are not.
    """

    def __init__(
        self,
        settings: Settings,
        people: AsyncEngine,
        log: Facts,
        submit: Submit,
        clock: Callable[[], int],
        log_secret: bytes = b"",
    ) -> None:
        self._settings = settings
        self._people = people
        self._log = log
        self._submit = submit
        self._clock = clock
        self._log_secret = log_secret
        self._erasure = Erasure(people)
        self.list = list_of(settings)

    async def erase(self, parties: Collection[str], mail: str, *, by: str = BY) -> dict[str, int]:
        """Erase a person, known by all of these ids and this address; return where the log says so.

        The rows and the key are gone when this returns; `sweep` takes the last traces.
        """
        at = self._clock()
        known = await asyncio.to_thread(self.list.read)
        new = [Erased(party, at) for party in sorted(parties) if party not in known]
        await asyncio.to_thread(self.list.put, new)
        await self._erasure.erase(parties, mail, at=at)
        return await self._record({p: known[p].at if p in known else at for p in parties}, by)

    async def _record(self, parties: Mapping[str, int], by: str) -> dict[str, int]:
        """Let the log say that these were erased; return where it does."""
        places: dict[str, int] = {}
        seals = await asyncio.to_thread(self._seals, parties)
        for party in sorted(parties):
            outcome = await self._submit(_command(party, by, seals[party]))
            place = outcome.position if outcome.events else await self._place(party)
            places[party] = place
        noted = [Erased(party, parties[party], at) for party, at in places.items()]
        await asyncio.to_thread(self.list.put, noted)
        return places

    def _seals(self, parties: Collection[str]) -> Mapping[str, Seal]:
        """The seals of those of whose erasure the log does not know yet.

        Whatever is amiss with the log, the person is erased: then without a seal.
        """
        seals = dict.fromkeys(parties, NO_SEAL)
        new = [party for party in parties if self._log.position_of(SUBJECT + party, 1) is None]
        if not new:
            return seals
        if not self._log_secret:
            _logger.warning(
                "the log's secret is not at hand: an erasure is recorded without a seal"
            )
            return seals
        try:
            return seals | seals_of(self._log, self._log_secret, new)
        except Exception:
            _logger.exception("an erasure is recorded without a seal: the log could not be read")
            return seals

    async def _place(self, party: str) -> int:
        """Where the log says that a party was erased; 0 where it does not."""
        return await asyncio.to_thread(self._log.position_of, SUBJECT + party, 1) or 0

    async def finish(self) -> int:
        """Finish what was begun, and erase again whom a restored copy brought back; return how many
        parties that were. Before anybody is served.
        """
        known = await asyncio.to_thread(self.list.read)
        forgotten = await self._forgotten()
        missing = {party: Erased(party, at) for party, at in forgotten.items()}
        if await asyncio.to_thread(self.list.merge, missing):
            known = await asyncio.to_thread(self.list.read)
        back = await self._back(sorted(known))
        for parties, mail in back:
            await self._erasure.erase(parties, mail, at=self._clock())
        again = {party for parties, _ in back for party in parties}
        places = await asyncio.to_thread(_places, self._log, known)
        noted = [
            msgspec.structs.replace(known[party], position=place)
            for party, place in places.items()
            if place not in (None, known[party].position)
        ]
        await asyncio.to_thread(self.list.put, noted)
        unsaid = {party for party, place in places.items() if place is None}
        await self._record({party: known[party].at for party in unsaid | again}, BY)
        return len(unsaid | again)

    async def _forgotten(self) -> dict[str, int]:
        """Who is forgotten in the store, and since when: another machine may have done it."""
        query = select(PARTIES.c.id, PARTIES.c.forgotten_at)
        async with self._people.connect() as connection:
            rows = await connection.execute(query.where(PARTIES.c.forgotten_at.is_not(None)))
            return {row.id: row.forgotten_at for row in rows}

    async def _back(self, listed: list[str]) -> list[tuple[list[str], str]]:
        """Of these parties those who are in the store as if nothing had been; each with the mail
        address by which more of them is found.
        """
        found: list[tuple[list[str], str]] = []
        for part in in_parts(listed):
            query = (
                select(PARTIES.c.id, PARTIES.c.mail, ACCOUNTS.c.mail.label("account_mail"))
                .join_from(PARTIES, ACCOUNTS, ACCOUNTS.c.party == PARTIES.c.id, isouter=True)
                .where(PARTIES.c.id.in_(part))
                .where(PARTIES.c.key.is_not(None) | PARTIES.c.forgotten_at.is_(None))
            )
            async with self._people.connect() as connection:
                found += [
                    ([row.id], row.account_mail or row.mail or "")
                    for row in await connection.execute(query)
                ]
        return found

    def tell_late(self, people: Engine, submit: Callable[[EraseSubject], Outcome]) -> int:
        """Let the log say what it could not say when somebody was erased, because it did not take
        it then; return of how many. For a thread.
        """
        unsaid = {party: entry for party, entry in self.list.read().items() if not entry.position}
        told = []
        for part in in_parts(sorted(unsaid)):
            query = select(PARTIES.c.id).where(
                PARTIES.c.id.in_(part), PARTIES.c.forgotten_at.is_not(None)
            )
            with people.connect() as connection:
                gone = connection.execute(query).scalars().all()
            seals = self._seals(gone)
            for party in gone:
                outcome = submit(_command(party, BY, seals[party]))
                place = outcome.position if outcome.events else None
                place = place or self._log.position_of(SUBJECT + party, 1) or 0
                told.append(msgspec.structs.replace(unsaid[party], position=place))
        self.list.put(told)
        return len(told)

    def sweep(self, first: Callable[[], object] = bool) -> bool:
        """Take the last traces of who was erased out of our files, where any are left; whether
        all are gone now. `first` lets what follows names know that they are gone.
        """
        left = [entry for entry in self.list.read().values() if not entry.swept]
        if not left:
            return True
        first()
        gone = sweep(self._settings)
        if gone:
            self.list.put([msgspec.structs.replace(entry, swept=True) for entry in left])
        return gone


def _command(party: str, by: str, seal: Seal) -> EraseSubject:
    return EraseSubject(
        party=party,
        by=by,
        command_id=str(uuid.uuid5(_SPACE, party)),
        sealed_to=seal.up_to,
        seal=seal.seal,
    )


def _places(log: Facts, known: Mapping[str, Erased]) -> dict[str, int | None]:
    """Where the log says of parties that they were erased; None where it does not.

    Who was noted is not looked up where the log is plainly the one in which that was: where it is
    as long, and has the newest of them in its place.
    """
    newest = max(known.values(), key=lambda entry: entry.position, default=None)
    if newest is None:
        return {}
    is_same = 0 < newest.position <= log.last()[0] and (
        log.position_of(SUBJECT + newest.party, 1) == newest.position
    )
    return {
        party: log.position_of(SUBJECT + party, 1)
        for party, entry in known.items()
        if not (is_same and entry.position)
    }
