"""What a leaf needs and its event does not say: who a pledge's backer is, a campaign's currency,
the key of a person.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Protocol

import msgspec
from sqlalchemy import Connection

from app.log.ports import LogRow
from app.log.reading import decode_row
from app.transparency.public_part import NEEDS_CURRENCY
from app.transparency.subjects import subject_of
from domain import events as e
from projections.facts import pledge_key
from projections.pledges import campaign_keys
from projections.rows import as_json
from projections.runner import stands_at
from projections.views import Views

MOST_KNOWN: Final = 100_000
"""Streams whose currency is remembered."""

KEPT_KEYS: Final = 20_000
KEPT_S: Final = 60.0
"""How many persons' keys, and how long, are kept for those who come again at once: a charge is
asked for and made, a backer pledges to several campaigns.
"""

_PAGE: Final = 100
"""A campaign is launched within its first few facts."""


class Streams(Protocol):
    """A log whose streams can be read."""

    def read_stream(
        self, stream: str, after_version: int = 0, limit: int | None = None
    ) -> list[LogRow]:
        """The rows of one stream after a version, in order."""


class KeysOf(Protocol):
    """Where persons' keys are (`app.stores.party_keys`)."""

    def of(self, parties: Collection[str]) -> Mapping[str, bytes | None]:
        """The key of each party of ours, None where it was destroyed."""


class ViewsBehindError(Exception):
    """The views have not read the pledges that these facts are about: they are waited for."""


class NoSuchPledgeError(LookupError):
    """A fact is about a pledge that the views do not have; trying again helps once they do."""


class Currencies:
    """The currency of each campaign, as its launch says."""

    def __init__(self, log: Streams) -> None:
        self._log = log
        self._known: dict[str, str] = {}

    def of(self, events: Iterable[e.Event]) -> Mapping[str, str]:
        """A mapping that has the currencies of those streams whose facts here need it."""
        known = self._known
        if len(known) > MOST_KNOWN:
            known.clear()
        wanted = set()
        for event in events:
            if type(event) is e.CampaignLaunched:
                known[event.stream] = event.currency
            elif type(event) in NEEDS_CURRENCY:
                wanted.add(event.stream)
        for stream in wanted - known.keys():
            known[stream] = self._launched(stream)
        return known

    def _launched(self, stream: str) -> str:
        version = 0
        while rows := self._log.read_stream(stream, version, _PAGE):
            for row in rows:
                event = decode_row(row)
                if isinstance(event, e.CampaignLaunched):
                    return event.currency
            version = rows[-1].version
        return ""  # never launched: nothing was pledged that could leave


class Backers:
    """The backers of pledges that were made earlier, by the views."""

    def __init__(self, views: Views, log_id: str) -> None:
        self._views = views
        self._log_id = log_id

    def of(self, pledges: Collection[tuple[str, int]], seen: int) -> dict[tuple[str, int], str]:
        """The backer of each (stream, no), all made up to a position `seen`.

        Raises ViewsBehindError and NoSuchPledgeError.
        """
        with self._views.connect_sync() as conn:
            if stands_at(conn, self._log_id) < seen:
                raise ViewsBehindError(f"the views have not read the log up to position {seen}")
            try:
                campaigns = campaign_keys(conn, {stream for stream, _ in pledges})
            except KeyError as fault:
                raise NoSuchPledgeError(f"the views have no campaign {fault}") from None
            keys = {pledge_key(campaigns[stream], no): (stream, no) for stream, no in pledges}
            found = {keys[key]: backer for key, backer in _backers(conn, list(keys))}
        if missing := set(pledges) - found.keys():
            stream, no = min(missing)
            raise NoSuchPledgeError(f"the views have no pledge {no} of {stream}")
        return found


_BACKERS: Final = """
    SELECT json_group_array(json_array(key, backer)) FROM pledges
    WHERE key IN (SELECT value FROM json_each(?))"""
_pairs: Final = msgspec.json.Decoder(list[tuple[int, str]])


def _backers(conn: Connection, keys: list[int]) -> list[tuple[int, str]]:
    return _pairs.decode(conn.exec_driver_sql(_BACKERS, (as_json(keys),)).scalar_one())


class Subjects:
    """Whom facts are about, and by which key."""

    def __init__(self, backers: Backers, keys: KeysOf) -> None:
        self._backers = backers
        self._keys = keys
        self._known: dict[str, bytes | None] = {}
        self._since = time.monotonic()

    def parties(self, events: Collection[e.Event], seen: int) -> list[str | None]:
        """The party that each fact is about, of facts after position `seen`.

        Raises ViewsBehindError and NoSuchPledgeError.
        """
        found: list[str | None] = []
        pending: list[tuple[int, tuple[str, int]]] = []
        for index, event in enumerate(events):
            if type(event) is e.PledgeMade:  # by far the most
                found.append(event.backer)
                continue
            subject = subject_of(event)
            if isinstance(subject, int):
                pending.append((index, (event.stream, subject)))
                subject = None
            found.append(subject)
        if pending:
            known = {(m.stream, m.no): m.backer for m in events if type(m) is e.PledgeMade}
            if older := {pledge for _, pledge in pending} - known.keys():
                known |= self._backers.of(older, seen)
            for index, pledge in pending:
                found[index] = known[pledge]
        return found

    def keys(self, parties: Collection[str | None]) -> Mapping[str, bytes | None]:
        """The keys of those of them who are ours; None where it was destroyed."""
        self.rest()
        known = self._known
        if len(known) > KEPT_KEYS:
            known.clear()
        wanted = set(parties)
        wanted.discard(None)
        missing = [party for party in wanted - known.keys() if party is not None]
        if missing:
            known |= self._keys.of(missing)
        return known

    def rest(self, kept_s: float = KEPT_S) -> None:
        """Keep no key for longer than so many seconds, whether more are asked for or not."""
        if time.monotonic() - self._since > kept_s:
            self._known.clear()
            self._since = time.monotonic()

    def forget(self, party: str) -> None:
        """Keep no key of a person who was erased."""
        self._known.pop(party, None)
