"""What an operator could do who changed their own log: seal and sign it all anew, in good order.

It is done to a copy, in a directory that is thrown away: a true log never signs two stories, and
this is why nobody would believe it if it did.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from app.audit.tree_place import TreePlace, keys_of
from app.keys import fingerprint
from app.settings import Settings
from app.transparency.checkpoint import Checkpoint
from app.transparency.leaf import SALT_BYTES, Leaf, Salts, commit
from app.transparency.making import leaf_of
from app.transparency.merkle import root_at
from app.transparency.note import SigningKey
from app.transparency.public_part import public_part
from app.transparency.store import SignedCheckpoint, open_transparency
from app.transparency.subjects import subject_of
from domain import events as e
from domain.codec import decode

_EVENTS: Final = "SELECT position, tag, body FROM events ORDER BY position"


def sign_anew(log: Path, place: TreePlace, signing: SigningKey, settings: Settings) -> TreePlace:
    """Make a new tree over a changed log, with the operator's own secrets and signature.

    `settings` are those of the throw-away directory, in which there is no tree yet.
    """
    store = open_transparency(settings)
    try:
        with closing(sqlite3.connect(log)) as connection:
            ((log_id,),) = connection.execute("SELECT value FROM meta WHERE name = 'log_id'")
            leaves, at = _leaves(connection, place)
        vkey = signing.verifier.encode()
        store.begin(log_id, signing.verifier.name, vkey, fingerprint(place.log_secret))
        size = store.append(0, leaves)
        checkpoint = Checkpoint(signing.verifier.name, size, root_at(store, size))
        note = f"{checkpoint.text}\n{signing.sign(checkpoint.text)}"
        store.add_checkpoint(SignedCheckpoint(size, checkpoint.root, at, note, note))
    finally:
        store.close()
    return msgspec.structs.replace(place, store=settings.transparency_path, signed=None)


def _leaves(log: sqlite3.Connection, place: TreePlace) -> tuple[list[bytes], int]:
    """The leaf of every event, and the time of the last one."""
    rows = [(position, decode(tag, body), body) for position, tag, body in log.execute(_EVENTS)]
    backers: dict[tuple[str, int], str] = {}
    currencies: dict[str, str] = {}
    for _, event, _ in rows:
        if isinstance(event, e.PledgeMade):
            backers[event.stream, event.no] = event.backer
        elif isinstance(event, e.CampaignLaunched):
            currencies[event.stream] = event.currency
    parties = [_party(event, backers) for _, event, _ in rows]
    keys = _keys(place, {party for party in parties if party})
    salts = Salts(place.log_secret)
    made = [
        _leaf(salts, row, party, keys, currencies.get(row[1].stream, "")).encode()
        for row, party in zip(rows, parties, strict=True)
    ]
    return made, rows[-1][1].at if rows else 0


def _keys(place: TreePlace, parties: set[str]) -> Mapping[str, bytes | None]:
    people = keys_of(place)
    if people is None:
        return {}
    with closing(people):
        return people.of(parties)


def _party(event: e.Event, backers: Mapping[tuple[str, int], str]) -> str:
    about = subject_of(event)
    return backers.get((event.stream, about), "") if isinstance(about, int) else about or ""


def _leaf(
    salts: Salts,
    row: tuple[int, e.Event, bytes],
    party: str,
    keys: Mapping[str, bytes | None],
    currency: str,
) -> Leaf:
    position, event, body = row
    if party in keys and keys[party] is None:  # erased: nobody can tell what it was salted with
        public = public_part(event, currency).encode()
        own = commit(salts.public(event.stream, event.version), public)
        return Leaf(position, own, secrets.token_bytes(SALT_BYTES))
    return leaf_of(salts, position, event, body, currency, keys.get(party))
