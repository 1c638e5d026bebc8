"""The log through the interfaces of the `eventsourcing` library."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from eventsourcing.persistence import (
    InfrastructureFactoryError,
    IntegrityError,
    JSONTranscoder,
    ProgrammingError,
    StoredEvent,
)

from app.log import UnreadableEvent, check_columns, decode_row
from app.log.application import LOG_PATH, LOG_URL, TributaryLog
from app.log.mapper import EventMapper, LoggedEvent
from domain.codec import encode
from tests.log.appending import Log, append, append_event, suspended


@pytest.fixture
def application(database_url: str, log_path: Path) -> Iterator[TributaryLog]:
    """The library's application on the same log."""
    made = TributaryLog({LOG_PATH: str(log_path), LOG_URL: database_url})
    yield made
    made.close()


def test_the_library_reads_what_a_turn_wrote(log: Log, application: TributaryLog) -> None:
    """Through the event store and through the notification log."""
    first, second = suspended(1), suspended(2)
    append_event(log, first)
    append_event(log, second)
    assert list(application.events.get("campaign:a")) == [LoggedEvent(first), LoggedEvent(second)]
    newest = application.events.get("campaign:a", desc=True, limit=1)
    assert [event.originator_version for event in newest] == [2]
    notifications = application.notification_log.select(1, 10)
    assert [notification.id for notification in notifications] == [1, 2]
    assert [application.mapper.to_domain_event(n) for n in notifications] == [
        LoggedEvent(first),
        LoggedEvent(second),
    ]


def test_a_turn_reads_what_the_library_wrote(log: Log, application: TributaryLog) -> None:
    """The same bytes, columns and positions as if the engine had written it."""
    event = suspended(1, at=77)
    (recording,) = application.save(LoggedEvent(event))
    (row,) = log.read(0, 10)
    assert recording.notification.id == row.position == 1
    assert row.body == encode(event)
    assert decode_row(row) == event
    assert check_columns(row, event) == ()
    with log.turn() as turn:
        assert (turn.position, turn.at) == (1, 77)


def test_the_library_cannot_turn_time_back(log: Log, application: TributaryLog) -> None:
    """Nor take a version twice."""
    append_event(log, suspended(1, at=50))
    with pytest.raises(IntegrityError, match="back"):
        application.save(LoggedEvent(suspended(2, at=49)))
    with pytest.raises(IntegrityError):
        application.save(LoggedEvent(suspended(1, at=50)))
    assert log.last() == (1, 50)


def test_a_foreign_topic_is_stamped(log: Log) -> None:
    """With the time that the caller gives, but not before the last event."""
    stored = [StoredEvent("x", n, "their.topic", b"") for n in range(3)]
    log.insert_events(stored[:1])
    log.insert_events(stored[1:2], at=9)
    log.insert_events(stored[2:])
    assert [row.at for row in log.read(0, 10)] == [0, 9, 9]


def test_an_unknown_event_is_never_skipped(log: Log, application: TributaryLog) -> None:
    """Every way of reading stops at it and says where it stands."""
    append(log, ("campaign:a", 1))
    (row,) = log.read(0, 10)
    with pytest.raises(UnreadableEvent, match=r"position 1, stream campaign:a, .* tag test\.v1"):
        decode_row(row)
    with pytest.raises(UnreadableEvent, match=r"^stream campaign:a, version 1, tag test\.v1"):
        list(application.events.get("campaign:a"))
    (notification,) = application.notification_log.select(1, 10)
    with pytest.raises(UnreadableEvent) as told:
        application.mapper.to_domain_event(notification)
    assert (told.value.position, told.value.version, told.value.tag) == (1, 1, "test.v1")


def test_broken_bytes_are_never_skipped(log: Log) -> None:
    """A known tag over other bytes stops the reader as well."""
    with log.turn() as turn:
        number = turn.stream_number("campaign:a")
        turn.append([(1, number, 1, 0, "campaign.suspended.v1", b'{"type":"x"}')])
    with pytest.raises(UnreadableEvent, match="position 1"):
        decode_row(log.read(0, 1)[0])


def test_the_mapper_takes_our_events_as_they_are() -> None:
    """No other classes, no cipher, no compressor."""

    class Theirs(msgspec.Struct):
        originator_id: str
        originator_version: int

    mapper = EventMapper(JSONTranscoder())
    with pytest.raises(TypeError, match="Theirs"):
        mapper.to_stored_event(Theirs("x", 1))
    with pytest.raises(ValueError, match="as they are encoded"):
        EventMapper(JSONTranscoder(), cipher=object())


def test_streams_are_text(log: Log) -> None:
    """A UUID would come back as something else than was written."""
    with pytest.raises(ProgrammingError, match="UUID"):
        log.insert_events([StoredEvent(uuid.uuid4(), 1, "t", b"")])


def test_the_factory_builds_what_there_is(
    application: TributaryLog, database_url: str, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snapshots beside the log; no recorder for what is kept elsewhere."""
    snapshots = application.factory.aggregate_recorder("snapshots")
    assert snapshots.select_events("a") == []
    assert log_path.with_name("snapshots.db").exists() is not bool(database_url)
    for refused in (
        application.factory.aggregate_recorder,
        application.factory.tracking_recorder,
        application.factory.process_recorder,
    ):
        with pytest.raises(InfrastructureFactoryError):
            refused()
    monkeypatch.delenv(LOG_PATH, raising=False)
    monkeypatch.delenv(LOG_URL, raising=False)
    with pytest.raises(InfrastructureFactoryError, match=LOG_PATH):
        TributaryLog()


def test_columns_that_differ_from_the_body_are_named(log: Log) -> None:
    """The body is the truth; the audit asks which copy is wrong."""
    event = suspended()
    append_event(log, event)
    (row,) = log.read(0, 1)
    assert check_columns(row, event) == ()
    assert check_columns(row._replace(stream="campaign:b"), event) == ("stream",)
    assert check_columns(row._replace(version=2, at=6), event) == ("version", "at")
    assert check_columns(row._replace(tag="campaign.resumed.v1"), event) == ("tag",)
    assert check_columns(row._replace(body=row.body + b" "), event) == ("body",)
    assert check_columns(row._replace(tag="campaign.suspended.v0", body=b"old"), event) == ()
