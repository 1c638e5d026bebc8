"""The recorder test cases that `eventsourcing` ships, run on ours."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import types
from pathlib import Path
from uuid import uuid4

if importlib.util.find_spec("Crypto") is None:
    # The module of the test cases imports a cipher for other cases than these; the package it
    # wants is an extra of the library that nothing here uses.
    sys.modules["eventsourcing.cipher"] = types.ModuleType("eventsourcing.cipher")
    sys.modules["eventsourcing.cipher"].AESCipher = object  # type: ignore[attr-defined]

from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from app.log import SQLiteLog, SQLiteSnapshots


class _TextStreams:
    """Our streams are named by text."""

    def new_originator_id(self) -> str:
        return f"test:{uuid4()}"


class _OnDisk:
    def setUp(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._open: list[SQLiteLog | SQLiteSnapshots] = []

    def tearDown(self) -> None:
        for store in self._open:
            store.close()
        self._directory.cleanup()

    def _opened(self, store: SQLiteLog | SQLiteSnapshots) -> None:
        self._open.append(store)

    def _path(self, name: str) -> Path:
        return Path(self._directory.name) / name


class TestLogRecorder(_TextStreams, _OnDisk, ApplicationRecorderTestCase[SQLiteLog]):
    """The log is a full application recorder."""

    def create_recorder(self) -> SQLiteLog:
        """Open a new log."""
        log = SQLiteLog(self._path(f"{uuid4()}.db"))
        self._opened(log)
        return log

    def test_insert_subscribe(self) -> None:
        """The log can be followed through the library's subscription."""
        self.optional_test_insert_subscribe()


class TestNotificationsDoNotInterleave(
    _TextStreams, _OnDisk, NonInterleavingNotificationIDsBaseCase
):
    """Positions of one append stand together."""

    def create_recorder(self) -> SQLiteLog:
        """Open a new log."""
        log = SQLiteLog(self._path("log.db"))
        self._opened(log)
        return log


class TestSnapshotRecorder(_TextStreams, _OnDisk, AggregateRecorderTestCase):
    """The snapshot store is a full aggregate recorder."""

    def create_recorder(self) -> SQLiteSnapshots:
        """Open a new snapshot store."""
        snapshots = SQLiteSnapshots(self._path("snapshots.db"))
        self._opened(snapshots)
        return snapshots


# The library's base classes are not tests themselves.
del AggregateRecorderTestCase, ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase
