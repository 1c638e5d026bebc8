"""PostgreSQL as the log uses it: sessions, errors, readers' connections, and what NOTIFY tells."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

import psycopg
from eventsourcing.persistence import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.patience import PatientConnection

LOCK_TIMEOUT_S: Final = 30.0
"""How long a turn waits for those before it."""
IDLE_TURN_S: Final = 60.0
"""How long a turn may keep the others waiting without a word to the server, which then ends it."""
MAX_READERS: Final = 6
"""Connections of one process that read at once; further readers wait."""
READER_WAIT_S: Final = 30.0
LISTENER: Final = "tributary log listener"
"""What the connection that listens is called in the server's activity."""
LISTEN_AGAIN_S: Final = 0.5
"""How soon a broken LISTEN connection is opened anew."""
LISTEN_CHECK_S: Final = 10.0
"""How long silence is believed: a server that stands still says nothing either."""

Connection = PatientConnection
T = TypeVar("T")

_logger = logging.getLogger(__name__)

# What a connection string may override. A peer that is gone is found out within half a minute,
# and a server that only reads is no place for a log.
_CONNECTION: Final = {
    "application_name": "tributary log",
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "target_session_attrs": "read-write",
}
# The statements are few and each has one good plan, by an index. The server looks after its side
# of the connection as we do after ours.
_SESSION: Final = """
    SELECT
        set_config('jit', 'off', false),
        set_config('enable_seqscan', 'off', false),
        set_config('plan_cache_mode', 'force_generic_plan', false),
        set_config('max_parallel_workers_per_gather', '0', false),
        set_config('client_min_messages', 'warning', false),
        set_config('tcp_keepalives_idle', '10', false),
        set_config('tcp_keepalives_interval', '5', false),
        set_config('tcp_keepalives_count', '3', false)"""
# An answer leaves after a commit that a crash cannot undo, whatever the server's default is;
# a stronger default stays. A timeout of the server's own could end a commit's wait for its standby,
# and the commit would stand without it.
_WRITER: Final = """
    SELECT
        set_config('lock_timeout', %s, false),
        set_config('statement_timeout', '0', false),
        set_config('idle_in_transaction_session_timeout', %s, false),
        CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply'
            ELSE set_config('synchronous_commit', 'on', false) END"""
_UNDURABLE: Final = "SELECT set_config('synchronous_commit', 'off', false)"

_LOST: Final = ("08", "57P", "25006", "25P03")
"""States (SQLSTATE) of a connection that broke, a server that ends, one that only reads now, and a
turn that was taken from who slept in it."""

_ERRORS: Final[tuple[tuple[type[psycopg.Error], type[PersistenceError]], ...]] = (
    (psycopg.IntegrityError, IntegrityError),
    (psycopg.OperationalError, OperationalError),
    (psycopg.ProgrammingError, ProgrammingError),
    (psycopg.DataError, DataError),
    (psycopg.InternalError, InternalError),
    (psycopg.NotSupportedError, NotSupportedError),
    (psycopg.DatabaseError, DatabaseError),
    (psycopg.InterfaceError, InterfaceError),
    (psycopg.Error, PersistenceError),
)


@contextmanager
def library_errors() -> Iterator[None]:
    """Raise psycopg's errors as those of `eventsourcing.persistence`."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as fault:
        raise OperationalError(
            f"another process has held the log's turn for more than {LOCK_TIMEOUT_S:g} s"
        ) from fault
    except psycopg.Error as fault:
        if (fault.sqlstate or "").startswith(_LOST):
            raise OperationalError(str(fault).strip()) from fault
        for theirs, ours in _ERRORS:
            if isinstance(fault, theirs):
                raise ours(str(fault).strip()) from fault
        raise


def connect(url: str) -> Connection:
    """Open a connection whose statements begin and end transactions themselves."""
    given = conninfo_to_dict(url)
    info = make_conninfo(**{**_CONNECTION, **{k: str(v) for k, v in given.items()}})
    connection = PatientConnection.connect(info, autocommit=True)
    try:
        connection.execute(_SESSION)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_writer(url: str) -> Connection:
    """Open a connection for append turns: durable, and bounded in its waiting."""
    connection = connect(url)
    try:
        connection.execute(_WRITER, (_ms(LOCK_TIMEOUT_S), _ms(IDLE_TURN_S)))
    except BaseException:
        connection.close()
        raise
    return connection


def connect_careless(url: str) -> Connection:
    """Open a connection whose last commits a crash of the server may undo."""
    connection = connect(url)
    try:
        connection.execute(_UNDURABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))


def is_lost(connection: Connection, fault: BaseException) -> bool:
    """Tell whether an error means that the connection is of no more use."""
    state = getattr(fault, "sqlstate", None) or ""
    return connection.closed or state.startswith(_LOST)


class Readers:
    """Connections for reading: bounded in number, and opened anew where one was broken."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: deque[Connection] = deque()
        self._free = threading.BoundedSemaphore(MAX_READERS)
        self._closed = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads; PostgreSQL's errors arrive as the library's.

        Where a connection turns out to be broken since its last use, `work` is run once more on a
        new one. Raises InterfaceError after close.
        """
        with library_errors():
            if not self._free.acquire(timeout=READER_WAIT_S):
                raise OperationalError(f"all {MAX_READERS} connections for reading are in use")
            try:
                return self._run(work)
            finally:
                self._free.release()

    def _run(self, work: Callable[[Connection], T]) -> T:
        while True:
            connection, is_new = self._take()
            try:
                found = work(connection)
            except BaseException as fault:
                lost = is_lost(connection, fault)
                connection.close()
                if lost and not is_new:
                    self._drop_idle()  # they were most likely broken together
                    continue
                raise
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)
            return found

    def _take(self) -> tuple[Connection, bool]:
        if self._closed:
            raise InterfaceError("the store is closed")
        try:
            return self._idle.pop(), False
        except IndexError:
            return connect(self._url), True

    def _drop_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def close(self) -> None:
        """Close idle connections now and lent ones when they come back."""
        self._closed = True
        self._drop_idle()


class Listener:
    """Hears the positions that turns announce on a channel, on a connection and thread of its own.

    `look` returns the last position by a connection: it is asked whenever listening begins anew,
    so that nothing announced in between is missed. `heard` is called with each position.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        look: Callable[[Connection], int],
        heard: Callable[[int], None],
    ) -> None:
        self._url = url
        self._channel = channel
        self._look = look
        self._heard = heard
        self._lock = threading.Lock()
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="log listener", daemon=True)
        self._started = False
        self._closed = False

    def start(self) -> None:
        """Begin to listen, unless it has begun."""
        with self._lock:
            if not (self._started or self._closed):
                self._started = True
                self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            try:
                with connect(self._url) as connection:
                    self._listen(connection)
            except psycopg.Error as fault:
                # Who waits looks for itself every second in the meantime.
                _logger.warning("listening to the log was interrupted: %s", fault)
                select.select((self._stopped.fileno(),), (), (), LISTEN_AGAIN_S)

    def _listen(self, connection: Connection) -> None:
        connection.execute(f"SET application_name = '{LISTENER}'")
        connection.execute(f'LISTEN "{self._channel}"')
        self._heard(self._look(connection))
        while not self._closed:
            ready, _, _ = select.select(
                (connection.fileno(), self._stopped.fileno()), (), (), LISTEN_CHECK_S
            )
            if not ready:
                self._heard(self._look(connection))
            positions = [int(told.payload) for told in connection.notifies(timeout=0)]
            if positions:
                self._heard(max(positions))

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._stop.send(b"x")
        if self._started:
            self._thread.join()
        self._stop.close()
        self._stopped.close()
