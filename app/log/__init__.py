"""The event log: one ordered, gapless sequence of facts that are never changed."""

from app.log.opening import migrate_log, open_log, open_snapshots
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
from app.log.postgres import PostgresLog
from app.log.postgres_snapshots import PostgresSnapshots
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
    "PostgresLog",
    "PostgresSnapshots",
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
    "migrate_log",
    "open_log",
    "open_snapshots",
]
