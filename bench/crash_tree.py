"""Whether the transparency log lived through the kills: no fork, no missing leaf, no wrong one.

A witness stands beside the run. After every kill it is handed each checkpoint that was signed
since, and what `signed.json` says was signed last; it cosigns what goes on from before, and refuses
a fork. In the end every leaf is held against its event, every checkpoint against the leaves.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from app.keys import load_keys
from app.log import LogRow
from app.settings import Settings
from app.stores.database import open_people_sync
from app.stores.party_keys import PartyKeys
from app.transparency.leaf import Salts
from app.transparency.making import leaf_of
from app.transparency.merkle import MemoryTiles, consistency_proof, leaf_hash, root_at
from app.transparency.note import COSIGNATURE, SigningKey
from app.transparency.signing import FILE, read_signed
from app.transparency.store import TransparencyStore, open_transparency
from app.wiring import open_platform
from app.witness.protocol import encode_request
from app.witness.store import WitnessStore
from app.witness.witness import RefusedError, Witness
from domain import events as e
from domain.codec import decode

TreeMoment = Literal["leaves_written", "kept_outside", "checkpoint_stored"]
"""Where the tree's follower or signer dies: leaves are durable and not signed; `signed.json` is
written and the checkpoint is not stored; it is stored and nobody was told."""


def die_at(moment: TreeMoment, due: Callable[[], bool]) -> None:
    """Let this process kill itself at the moment, when `due` says so."""

    def then_die(kind: type[Any] | Any, name: str) -> None:  # noqa: ANN401 - class or module
        done = getattr(kind, name)

        def dying(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - of any function
            result = done(*given, **named)
            if due():
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(kind, name, dying)

    from app.transparency import signing  # noqa: PLC0415 - what is changed, in the server alone

    match moment:
        case "leaves_written":
            then_die(TransparencyStore, "append")
        case "kept_outside":
            then_die(signing, "write_signed")
        case "checkpoint_stored":
            then_die(TransparencyStore, "add_checkpoint")


class Onlooker:
    """A witness beside the run, which forgets nothing that it was shown."""

    def __init__(self, settings: Settings, memory: Path) -> None:
        self._settings = settings
        self._memory = WitnessStore(memory)
        self._key = SigningKey.generate("onlooker.test", COSIGNATURE)
        self._shown = -1
        self.cosigned = 0
        self.faults: list[str] = []

    def look(self) -> None:
        """Be shown all that was signed since the last time; no server runs meanwhile."""
        store = open_transparency(self._settings)
        try:
            self._look(store)
        finally:
            store.close()

    def _look(self, store: TransparencyStore) -> None:
        tree = store.tree()
        if tree is None:
            return  # killed before the first start got so far
        log_key = load_keys(self._settings, make=False).signing.verifier
        witness = Witness(self._key, [log_key], self._memory)
        for checkpoint in store.checkpoints(self._shown):
            seen = self._memory.seen(tree.origin)
            old = seen.size if seen else 0
            try:
                proof = consistency_proof(store, old, checkpoint.size)
                witness.add(encode_request(old, proof, checkpoint.note))
                self.cosigned += 1
            except (RefusedError, LookupError, ValueError) as refused:
                self.faults.append(f"the checkpoint of {checkpoint.size:,}: {refused}")
            self._shown = checkpoint.size
        kept = read_signed(self._settings.keys_dir / FILE)
        if kept is None:
            if self._shown >= 0:
                self.faults.append("checkpoints were signed, and signed.json is not there")
            return
        if kept.size < self._shown:
            self.faults.append(f"signed.json says {kept.size:,}, and {self._shown:,} was signed")
        if kept.size > tree.size:
            self.faults.append(f"signed.json says {kept.size:,}, the tree has {tree.size:,} leaves")
        elif store.root_at(kept.size).hex() != kept.root:
            self.faults.append(f"signed.json is no prefix of the tree at {kept.size:,}")


async def tree_faults(settings: Settings, rows: Sequence[LogRow]) -> list[str]:
    """Let the tree catch up as a server would, and say in sentences what is wrong with it."""
    async with open_platform(settings) as platform:
        platform.follower.catch_up()
        platform.transparency.catch_up()
        fault = platform.transparency.fault
    found = [fault] if fault else []
    store = open_transparency(settings)
    try:
        return [*found, *_compare(settings, store, rows)]
    finally:
        store.close()


def _compare(settings: Settings, store: TransparencyStore, rows: Sequence[LogRow]) -> Iterator[str]:
    """Every leaf by itself, by the plain way; then every root over those that are right."""
    if store.size != len(rows):
        yield f"the tree has {store.size:,} leaves for {len(rows):,} events"
        return
    tiles = MemoryTiles()
    for row, made in zip(rows, _leaves(settings, rows), strict=True):
        if store.leaf(row.position - 1).encode() != made:
            yield f"the leaf of position {row.position:,} is not that of its event"
        tiles.append([leaf_hash(made)])
    for checkpoint in store.checkpoints(-1, 1_000_000):
        if root_at(tiles, checkpoint.size) != checkpoint.root:
            yield f"the checkpoint of {checkpoint.size:,} has another root than these events"
        if checkpoint.note != checkpoint.published:
            yield f"the checkpoint of {checkpoint.size:,} was signed and not published"
    newest = store.latest_signed()
    if newest is None or newest.size != len(rows):
        yield "the last events are in no signed checkpoint"


def _leaves(settings: Settings, rows: Sequence[LogRow]) -> Iterator[bytes]:
    salts = Salts(load_keys(settings, make=False).log_secret)
    events = [decode(row.tag, row.body) for row in rows]
    backers = {(m.stream, m.no): m.backer for m in events if isinstance(m, e.PledgeMade)}
    people = open_people_sync(settings)
    keys = PartyKeys(people, load_keys(settings, make=False).master).of(set(backers.values()))
    people.dispose()
    currencies = {m.stream: m.currency for m in events if isinstance(m, e.CampaignLaunched)}
    for row, event in zip(rows, events, strict=True):
        named = getattr(event, "backer", None) or getattr(event, "party", None)
        party = named or backers.get((event.stream, getattr(event, "no", 0)), "")
        currency = currencies.get(event.stream, "")
        yield leaf_of(salts, row.position, event, row.body, currency, keys.get(party)).encode()


TREE_MOMENTS: Final[tuple[TreeMoment, ...]] = (
    "leaves_written",
    "kept_outside",
    "checkpoint_stored",
)
