"""Writing to a log without an engine."""

from __future__ import annotations

from app.log import PostgresLog, SQLiteLog
from domain.codec import encode, tag_of
from domain.events import CampaignSuspended

Log = SQLiteLog | PostgresLog


def append(log: Log, *places: tuple[str, int], at: int = 0, body: bytes = b"{}") -> None:
    """Append an event without meaning at each (stream, version), in one turn."""
    with log.turn() as turn:
        turn.append(
            [
                (turn.position + 1 + n, turn.stream_number(stream), version, at, "test.v1", body)
                for n, (stream, version) in enumerate(places)
            ]
        )


def suspended(version: int = 1, at: int = 5, stream: str = "campaign:a") -> CampaignSuspended:
    """A real fact."""
    return CampaignSuspended(
        stream=stream,
        version=version,
        at=at,
        by="staff:x",
        command_id="c",
        channel="d",
        cause="review",
    )


def append_event(log: Log, event: CampaignSuspended) -> None:
    """Append a real fact as the engine does."""
    with log.turn() as turn:
        number = turn.stream_number(event.stream)
        row = (turn.position + 1, number, event.version, event.at, tag_of(event), encode(event))
        turn.append([row])
