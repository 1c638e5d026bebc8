"""The recorder test cases that `eventsourcing` ships, run on ours."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import types
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

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

from app.log import PostgresSnapshots, SQLiteSnapshots, open_log, open_snapshots
from tests.log.appending import Log
from tests.postgresql import PostgresServer


class _TextStreams:
    """Our streams are named by text."""

    def new_originator_id(self) -> str:
        return f"test:{uuid4()}"


class _Stores:
    """Opens new stores: SQLite's in a directory, or PostgreSQL's in databases of their own."""

    def setUp(self) -> None:
        self._stack = ExitStack()
        self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))

    def tearDown(self) -> None:
        self._stack.close()

    def _url(self) -> str:
        return ""

    def _log(self) -> Log:
        log = open_log(self._url(), self._directory / f"{uuid4()}.db")
        self._stack.callback(log.close)
        return log

    def _snapshots(self) -> SQLiteSnapshots | PostgresSnapshots:
        snapshots = open_snapshots(self._url(), self._directory / "snapshots.db")
        self._stack.callback(snapshots.close)
        return snapshots


@pytest.mark.postgres
class _OnPostgres(_Stores):
    @pytest.fixture(autouse=True)
    def _ask_for_a_server(self, postgres_server: PostgresServer, migrated_template: str) -> None:
        self._server, self._template = postgres_server, migrated_template

    def _url(self) -> str:
        url = self._server.create(self._template)
        self._stack.callback(self._server.drop, url)
        return url


class TestLogRecorder(_TextStreams, _Stores, ApplicationRecorderTestCase[Log]):
    """The log is a full application recorder."""

    def create_recorder(self) -> Log:
        """Open a new log."""
        return self._log()

    def test_insert_subscribe(self) -> None:
        """The log can be followed through the library's subscription."""
        self.optional_test_insert_subscribe()


class TestNotificationsDoNotInterleave(
    _TextStreams, _Stores, NonInterleavingNotificationIDsBaseCase
):
    """Positions of one append stand together."""

    def create_recorder(self) -> Log:
        """Open a new log."""
        return self._log()


class TestSnapshotRecorder(_TextStreams, _Stores, AggregateRecorderTestCase):
    """The snapshot store is a full aggregate recorder."""

    def create_recorder(self) -> SQLiteSnapshots | PostgresSnapshots:
        """Open a new snapshot store."""
        return self._snapshots()


class TestPostgresLogRecorder(_OnPostgres, TestLogRecorder):
    """The same on PostgreSQL."""


class TestPostgresNotificationsDoNotInterleave(_OnPostgres, TestNotificationsDoNotInterleave):
    """The same on PostgreSQL."""


class TestPostgresSnapshotRecorder(_OnPostgres, TestSnapshotRecorder):
    """The same on PostgreSQL."""


# The library's base classes are not tests themselves.
del AggregateRecorderTestCase, ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase
