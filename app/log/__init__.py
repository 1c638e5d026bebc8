"""The event log: one ordered, gapless sequence of facts that are never changed."""

from app.log.ports import (
    CommitUnknown,
    EventLog,
    KeyEntry,
    LogRow,
    NewKey,
    NewRow,
    Snapshot,
    SnapshotCorrupt,
    SnapshotHead,
    SnapshotStore,
    Turn,
)
from app.log.reading import UnreadableEvent, check_columns, decode_row
from app.log.snapshots import SQLiteSnapshots
from app.log.sqlite import SQLiteLog, TurnHooks

__all__ = [
    "CommitUnknown",
    "EventLog",
    "KeyEntry",
    "LogRow",
    "NewKey",
    "NewRow",
    "SQLiteLog",
    "SQLiteSnapshots",
    "Snapshot",
    "SnapshotCorrupt",
    "SnapshotHead",
    "SnapshotStore",
    "Turn",
    "TurnHooks",
    "UnreadableEvent",
    "check_columns",
    "decode_row",
]
