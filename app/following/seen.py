"""What this machine last saw of the log, kept outside the database, so that no fork goes unnoticed.

A log that was restored from a backup, or that a stale replica took over, may end before what was
acknowledged, shown and sent. Whoever goes on from there gives the same positions and pledge numbers
to other facts: two stories under one name. So the follower notes the last event that it saw, with
the hash of its bytes, in the data directory; a process that opens the log compares, and refuses a
log that ends earlier or has something else there. `tributary accept-restore` is how a person says
that the shorter story is the one that counts from now on.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final, Protocol

import msgspec

from app.log import LogRow

FILE: Final = "seen.json"
BACKUP_FILE: Final = "backup.json"
"""Lies beside the copies that `tributary backup` makes: who starts on them restores a backup."""


class Seen(msgspec.Struct, frozen=True):
    """An event of a log: its position (0: none yet), the SHA-256 of its bytes, its time in ms."""

    log_id: str
    position: int
    sha256: str
    at: int


class Log(Protocol):
    """What is asked of the log."""

    @property
    def log_id(self) -> str:
        """The log's random id."""

    def read(self, after: int, limit: int) -> list[LogRow]:
        """Up to `limit` rows after a position, in order."""

    def last(self) -> tuple[int, int]:
        """The last event's (position, at); (0, 0) for an empty log."""


class ForkedLogError(Exception):
    """The log is not the one that was seen here; the message says how, and what can be done."""


ACCEPT: Final = (
    "If events are to be had elsewhere (a newer copy, another machine's log), bring them first."
    " To go on without them run `tributary accept-restore`, which says what that means"
    " (docs/operations.md)."
)


def point_of(log: Log, position: int | None = None) -> Seen:
    """The event at a position, or the last. Raises LookupError where the log is shorter."""
    at_position = log.last()[0] if position is None else position
    if at_position == 0:
        return Seen(log.log_id, 0, "", 0)
    rows = log.read(at_position - 1, 1)
    if not rows or rows[0].position != at_position:
        raise LookupError(f"the log has no position {at_position}")
    return Seen(log.log_id, at_position, hashlib.sha256(rows[0].body).hexdigest(), rows[0].at)


def read_seen(path: Path) -> Seen | None:
    """What was noted; None where nothing was. Raises ForkedLogError for a file that is no note."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Seen)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise ForkedLogError(f"{path} cannot be read: {fault}. {ACCEPT}") from fault


def write_seen(path: Path, seen: Seen) -> None:
    """Note it durably, in one step."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(seen), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def difference(log: Log, seen: Seen) -> str:
    """How the log differs from what was seen, in a sentence; empty where it goes on from there."""
    if log.log_id != seen.log_id:
        return f"It is another log: {log.log_id}, where {seen.log_id} was seen."
    if seen.position == 0:
        return ""
    last, _ = log.last()
    if last < seen.position:
        return (
            f"It ends at position {last:,}, where {seen.position:,} was seen:"
            f" {seen.position - last:,} events that others may have seen are not in it."
        )
    if point_of(log, seen.position).sha256 != seen.sha256:
        return (
            f"At position {seen.position:,} it holds another event than the one that was seen:"
            " it is a fork."
        )
    return ""


def require_same_log(data_dir: Path, log: Log) -> None:
    """Raise ForkedLogError unless the log goes on from what was seen in this data directory."""
    if (data_dir / BACKUP_FILE).exists():
        raise ForkedLogError(
            f"{data_dir} holds a restored backup: what happened after it was made is not in it."
            f" {ACCEPT}"
        )
    seen = read_seen(data_dir / FILE)
    if seen is not None and (how := difference(log, seen)):
        raise ForkedLogError(f"The log is not the one that was seen here. {how} {ACCEPT}")


class Witness:
    """Notes what was seen, as the log goes on."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        self._path = data_dir / FILE
        self._log = log
        self._seen = read_seen(self._path)

    def look(self) -> None:
        """Note the log's end, if it has moved on from what was seen.

        Raises ForkedLogError, and OSError where it cannot be noted now: the next look tries again.
        """
        last, _ = self._log.last()
        seen = self._seen
        if seen is not None and seen.log_id == self._log.log_id and last == seen.position:
            return
        if seen is not None and (how := difference(self._log, seen)):
            raise ForkedLogError(f"The log was exchanged while it was followed. {how}")
        seen = point_of(self._log, last)
        write_seen(self._path, seen)
        self._seen = seen
