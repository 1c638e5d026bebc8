"""A tiny aggregate to try the engine with: it counts, and fails in every way it is told to."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.engine import Engine, Outcome
from app.log import open_log, open_snapshots
from domain.commands import Command
from domain.errors import CommandExpired, Rejection, Repeated
from domain.events import CampaignSuspended, Event

START = 1_000


class TooMuch(Rejection):
    """The tally's limit is reached."""

    reason = "too_much"


class Count(Command, frozen=True, kw_only=True):
    """Add `amount`, in as many events as `events` says; `way` names how it goes wrong."""

    amount: int = 1
    events: int = 1
    way: str = ""
    name: str = ""


class Tally(msgspec.Struct):
    """What was counted."""

    stream: str
    version: int = 0
    total: int = 0
    names: dict[str, int] = {}


class TallyDecider:
    """Counts up to a limit. `evolved` counts the events that were added to any state."""

    prefix = "campaign:"
    claimed_twice = TooMuch

    def __init__(self, limit: int = 10**9, schema: int = 1) -> None:
        self.limit = limit
        self.schema = schema
        self.evolved = 0

    def stream_of(self, command: Command) -> str:
        """The stream of a command."""
        return stream(command.campaign_id)

    def claim(self, command: Command) -> int | None:
        """Nothing that is counted here has a name in the whole log."""

    def claimed(self, tag: str, body: bytes) -> int | None:
        """Nothing, either."""

    def has_claimed(self, state: Tally, command: Command) -> bool:
        """No name is ever claimed."""
        raise AssertionError(state, command)

    def initial(self, stream: str) -> Tally:
        """Nothing counted."""
        return Tally(stream)

    def handle(self, state: Tally, command: Command, at: int) -> list[Event]:
        """Count, or go wrong in the way that the command names."""
        assert isinstance(command, Count)
        if command.expires_at is not None and at > command.expires_at:
            raise CommandExpired
        if command.name in state.names:
            raise Repeated(state.names[command.name])
        if command.way == "refuse" or state.total + command.amount > self.limit:
            raise TooMuch
        if command.way == "crash":
            raise RuntimeError("crashed")
        events: list[Event] = [
            self._counted(state, command, at, offset) for offset in range(command.events)
        ]
        for event in events:
            self.evolve(state, event)
            if command.way == "crash half-way":
                raise RuntimeError("crashed half-way")
            if command.way == "refuse half-way":
                raise TooMuch
        if command.way == "lose an event":
            return events[:-1]
        if command.way == "other time":
            return [msgspec.structs.replace(event, at=at + 1) for event in events]
        return events

    def _counted(self, state: Tally, command: Count, at: int, offset: int) -> CampaignSuspended:
        return CampaignSuspended(
            stream=state.stream,
            version=state.version + 1 + offset,
            at=at,
            by=command.by,
            command_id=command.command_id,
            channel="",
            cause=f"{command.amount} {command.name}",
        )

    def evolve(self, state: Tally, event: Event) -> None:
        """Add an event."""
        assert isinstance(event, CampaignSuspended)
        amount, _, name = event.cause.partition(" ")
        state.total += int(amount)
        state.version = event.version
        if name:
            state.names.setdefault(name, event.version)
        self.evolved += 1

    def weight(self, state: Tally) -> int:
        """One for each event."""
        return state.version

    def dump(self, state: Tally) -> Iterator[bytes]:
        """The state in two chunks."""
        body = msgspec.json.encode(state)
        yield body[:10]
        yield body[10:]

    def load(self, chunks: Iterable[bytes]) -> Tally:
        """The state again."""
        return msgspec.json.decode(b"".join(chunks), type=Tally)


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        """The time now, ms."""
        return self.now


class Bench:
    """A log and its snapshots in a directory or a database, and engines on them."""

    def __init__(self, directory: Path, database_url: str = "") -> None:
        self.directory = directory
        self.database_url = database_url
        self.log = open_log(database_url, directory / "log.db")
        self.snapshots = open_snapshots(database_url, directory / "snapshots.db")
        self.clock = Clock()

    def engine(
        self,
        decider: TallyDecider | None = None,
        **options: Any,  # noqa: ANN401 - as the engine has them
    ) -> Engine[Tally]:
        """A new engine on the log."""
        decider = decider or TallyDecider()
        return Engine(self.log, self.snapshots, decider, clock=self.clock, **options)

    def another(self) -> Bench:
        """The same log, opened once more as another process would."""
        other = Bench(self.directory, self.database_url)
        other.clock = self.clock
        return other

    def versions(self, campaign_id: str) -> list[int]:
        """The versions that the log holds of a stream."""
        return [row.version for row in self.log.read_stream(stream(campaign_id))]

    def close(self) -> None:
        """Close both stores."""
        self.log.close()
        self.snapshots.close()


def stream(campaign_id: str) -> str:
    """The stream of a campaign."""
    return f"campaign:{campaign_id}"


def count(campaign_id: str = "a", **facts: object) -> Count:
    """A command with a new id."""
    own = {"by": "system:tests", "command_id": str(uuid.uuid4()), **facts}
    return Count(campaign_id=campaign_id, **own)  # type: ignore[arg-type]


def only_outcomes(results: list[Outcome | Exception]) -> list[Outcome]:
    """The results, all of which must be outcomes."""
    outcomes = []
    for result in results:
        assert isinstance(result, Outcome), result
        outcomes.append(result)
    return outcomes
