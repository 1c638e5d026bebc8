"""A seal is over every event about a person, and found by the log alone."""

from __future__ import annotations

import hmac
import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.log.ports import LogRow
from app.transparency import sealing
from app.transparency.sealing import NO_SEAL, Seal, seals_of
from domain import events as e
from domain.codec import decode, encode, tag_of

GOLDEN = Path(__file__).parent.parent / "golden"
SECRET = bytes(range(32))
PERSONS = [f"7b0b6f2e-0000-4000-8000-{number:012}" for number in range(4)]
STREAMS = [f"campaign:6e0c0000-0000-4000-8000-{number:012}" for number in range(3)]


class MemoryLog:
    """Rows in memory, read as a log gives them."""

    def __init__(self, events: list[e.Event]) -> None:
        self.rows = [
            LogRow(position, event.stream, event.version, event.at, tag_of(event), encode(event))
            for position, event in enumerate(events, 1)
        ]
        self.decoded = 0

    def last(self) -> tuple[int, int]:
        """Where it ends."""
        return len(self.rows), 0

    def read(self, after: int, limit: int) -> list[LogRow]:
        """Some rows."""
        self.decoded += 1
        return self.rows[after : after + limit]

    def read_bodies(self, after: int, limit: int) -> tuple[int, int, list[str], bytes] | None:
        """The same in one piece."""
        rows = self.rows[after : after + limit]
        if not rows:
            return None
        bodies = b"[%b]" % b",".join(row.body for row in rows)
        return rows[0].position, rows[-1].position, [row.tag for row in rows], bodies


def by_definition(events: list[e.Event], rows: list[LogRow], party: str) -> Seal:
    """The seal as docs/formats.md says it, with nothing of ours."""
    about, pledges = [], set()
    for event, row in zip(events, rows, strict=True):
        said: dict[str, Any] = msgspec.json.decode(row.body)
        if isinstance(event, e.PledgeMade) and event.backer == party:
            pledges.add((event.stream, event.no))
        its = (
            said.get("backer") == party
            or (isinstance(event, e.NeedOffered) and event.party == party)
            or (event.stream, said.get("no", 0)) in pledges
        )
        if its:
            about.append(row.position.to_bytes(8) + sha256(row.body).digest())
    if not about:
        return NO_SEAL
    data = b"erased\0" + party.encode() + b"".join(about)
    return Seal(len(rows), hmac.new(SECRET, data, sha256).hexdigest())


def history(chance: random.Random, length: int) -> list[e.Event]:
    """Facts of every kind by chance, about four persons and nobody; pledges come before what is
    said of them.
    """
    golden = [
        decode(path.stem, path.read_bytes().strip()) for path in sorted(GOLDEN.glob("*.json"))
    ]
    made = dict.fromkeys(STREAMS, 0)
    events: list[e.Event] = []
    for version in range(1, length + 1):
        event, stream = chance.choice(golden), chance.choice(STREAMS)
        facts: dict[str, Any] = {"version": version, "stream": stream}
        if isinstance(event, e.PledgeMade):
            made[stream] += 1
            facts |= {"no": made[stream], "backer": chance.choice(PERSONS)}
        elif isinstance(event, e.HoldPlaced):
            facts["backer"] = chance.choice(PERSONS)
        elif isinstance(event, e.NeedOffered):
            facts["party"] = chance.choice(PERSONS)
        elif hasattr(event, "no"):
            facts["no"] = chance.randint(0, made[stream])
        events.append(msgspec.structs.replace(event, **facts))
    return events


@pytest.mark.parametrize("page", [1, 3, 1_000])
def test_it_is_over_every_event_about_them(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the log is cut into pages, and for one person as for many."""
    monkeypatch.setattr(sealing, "PAGE", page)
    for seed in range(20):
        events = history(random.Random(seed), 300)
        log = MemoryLog(events)
        expected = {party: by_definition(events, log.rows, party) for party in PERSONS}
        assert any(seal.up_to for seal in expected.values())
        assert seals_of(log, SECRET, PERSONS) == expected
        with monkeypatch.context() as patch:
            patch.setattr(sealing, "FEW", 0)
            assert seals_of(log, SECRET, PERSONS[:1]) == {PERSONS[0]: expected[PERSONS[0]]}
            patch.setattr(sealing, "FEW", 8)
            patch.setattr(sealing, "MANY", 0)
            assert seals_of(log, SECRET, PERSONS[:1]) == {PERSONS[0]: expected[PERSONS[0]]}


def test_about_nobody_there_is_none() -> None:
    """Who never did anything has no seal, and no event is decoded for it."""
    log = MemoryLog(history(random.Random(1), 200))
    stranger = PERSONS[0].replace("7b", "7c")
    assert seals_of(log, SECRET, [stranger]) == {stranger: NO_SEAL}
    assert log.decoded == 0
    assert seals_of(MemoryLog([]), SECRET, PERSONS) == dict.fromkeys(PERSONS, NO_SEAL)


def test_the_seal_is_that_of_the_example_in_the_docs() -> None:
    """The golden pledge at position 421, sealed under the secret 40 to 5f."""
    event = decode("pledge.made.v1", (GOLDEN / "pledge.made.v1.json").read_bytes().strip())
    assert isinstance(event, e.PledgeMade)
    before = (GOLDEN / "campaign.launched.v1.json").read_bytes().strip()
    log = MemoryLog([*[decode("campaign.launched.v1", before)] * 420, event])
    found = seals_of(log, bytes(range(0x40, 0x60)), [event.backer])[event.backer]
    assert found.up_to == 421
    docs = (Path(__file__).parents[2] / "docs/formats.md").read_text()
    assert found.seal in docs
