"""What is still to be done: rows in `work.db`, found by following the log.

Nothing here is a truth of its own. A row says "see to this, from then on"; what there is to do is
read from the campaign's state when its time has come. So the file can be lost: following the log
from its beginning writes it anew. Rows are deleted when they are done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    text,
)
from sqlalchemy.pool import ConnectionPoolEntry

SCHEMA_VERSION: Final = 1
"""Kept in the file. A file of another version is emptied: the log fills it again."""

NEVER: Final = 2**62
"""The `due_at` of what waits for somebody's decision."""

BACK_OFF_FIRST_MS: Final = 1_000
BACK_OFF_LAST_MS: Final = 3_600_000
BUSY_TIMEOUT_MS: Final = 30_000
ERROR_CHARACTERS: Final = 500

Kind = Literal[
    "close", "lapse", "page", "collect", "drop", "cancel", "give_back", "refund", "return", "payout"
]
"""What a row is about; see the runner of that kind."""

METADATA: Final = MetaData()

WORK: Final = Table(
    "work",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("dedupe_key", Text, nullable=False, unique=True),
    Column("campaign_id", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("due_at", Integer, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("lease_until", Integer, nullable=False, server_default="0"),
    Column("lease_owner", Text, nullable=False, server_default=""),
    Column("wakes", Integer, nullable=False, server_default="0"),
    Column("last_error", Text, nullable=False, server_default=""),
    Index("work_due", "kind", "due_at"),
    Index("work_in_trouble", "campaign_id", "last_error", sqlite_where=text("last_error <> ''")),
    sqlite_strict=True,
)

CHECKPOINTS: Final = Table(
    "checkpoints",
    METADATA,
    Column("log_id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    sqlite_strict=True,
)

CAMPAIGNS: Final = Table(
    "campaigns",
    METADATA,
    Column("campaign_id", Text, primary_key=True),
    Column("collect_at", Text, nullable=False),
    Column("deadline_at", Integer, nullable=False),
    Column("ended", Integer, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)


class Job(Struct, frozen=True):
    """A row to be: `key` is unique among all that waits, `ref` the number or id it is about."""

    kind: Kind
    key: str
    campaign_id: str
    ref: str
    due_at: int
    payload: str = ""


class Task(Struct, frozen=True, gc=False):
    """A leased row. `attempts` counts the leases since it last came forward, this one included."""

    id: int
    kind: Kind
    key: str
    campaign_id: str
    ref: str
    payload: str
    attempts: int
    wakes: int

    @property
    def no(self) -> int:
        """The pledge's number, where the row is about a pledge."""
        return int(self.ref)


class Verdict(Struct, frozen=True):
    """What becomes of a leased row: done, or due again. `fresh` forgets its past attempts;
    `jobs` are written in the same transaction.
    """

    task: Task
    due_at: int | None = None
    error: str = ""
    fresh: bool = False
    payload: str | None = None
    jobs: tuple[Job, ...] = ()


class WatchedCampaign(Struct, frozen=True):
    """What following needs to know of a campaign that was launched or has ended."""

    collect_at: str = ""
    deadline_at: int = 0
    ended: bool = False


class Trouble(Struct, frozen=True):
    """A row that did not go through, for people to look at."""

    kind: Kind
    key: str
    campaign_id: str
    attempts: int
    due_at: int
    last_error: str


def done(task: Task) -> Verdict:
    """Nothing is left to do."""
    return Verdict(task)


def later(task: Task, due_at: int, *, why: str = "", fresh: bool = True) -> Verdict:
    """Look again at `due_at`; `why` shows what it waits for."""
    return Verdict(task, due_at, why, fresh)


def failed(task: Task, fault: Exception | str, now: int) -> Verdict:
    """Something went wrong: try again, each time after twice as long."""
    wait_ms = min(BACK_OFF_FIRST_MS << min(task.attempts, 20), BACK_OFF_LAST_MS)
    said = fault if isinstance(fault, str) else f"{type(fault).__name__}: {fault}"
    return Verdict(task, now + wait_ms, said[:ERROR_CHARACTERS])


class Changes:
    """What a batch of events changes in the work, folded so that each key is written once.

    `position` is that of the last event folded.
    """

    def __init__(self) -> None:
        self.position = 0
        self.dropped: set[str] = set()
        self.jobs: dict[str, Job] = {}
        self.woken: set[str] = set()
        self.released: dict[str, int] = {}
        self.resumed: dict[tuple[str, str], int] = {}
        self.watched: dict[str, WatchedCampaign] = {}

    def ensure(self, job: Job) -> None:
        """Have this row, if there is none of its key."""
        self.jobs.setdefault(job.key, job)

    def wake(self, job: Job) -> None:
        """Have this row, due at the latest when the job says."""
        known = self.jobs.get(job.key)
        if known is not None:
            job = msgspec.structs.replace(
                job,
                due_at=min(known.due_at, job.due_at),
                payload=job.payload or known.payload,
            )
        self.jobs[job.key] = job
        self.woken.add(job.key)

    def release(self, key: str, at: int) -> None:
        """Have the row of this key due, if there is one."""
        known = self.jobs.get(key)
        if known is None:
            self.released[key] = at
        else:
            self.jobs[key] = msgspec.structs.replace(known, due_at=min(known.due_at, at))

    def drop(self, key: str) -> None:
        """Have no row of this key."""
        self.jobs.pop(key, None)
        self.woken.discard(key)
        self.dropped.add(key)

    def resume(self, campaign_id: str, why: str, at: int) -> None:
        """What waited for this in the campaign is due."""
        self.resumed[campaign_id, why] = at


# One statement of SQLite per batch: Python's sqlite3 gives up the interpreter's lock once per row,
# and in a server whose other threads compute, a thousand rows would then take seconds.
_ROWS: Final = """
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
    FROM json_each(?)"""
_COLUMNS: Final = "(kind, dedupe_key, campaign_id, ref, due_at, payload)"
_ENSURE: Final = f"INSERT OR IGNORE INTO work {_COLUMNS} {_ROWS}"
_WAKE: Final = f"""
    INSERT INTO work {_COLUMNS} {_ROWS} WHERE true
    ON CONFLICT (dedupe_key) DO UPDATE SET
        due_at = min(due_at, excluded.due_at),
        payload = CASE excluded.payload WHEN '' THEN payload ELSE excluded.payload END,
        wakes = wakes + 1"""
_DROP: Final = "DELETE FROM work WHERE dedupe_key IN (SELECT value FROM json_each(?))"
_RELEASE: Final = """
    UPDATE work SET due_at = min(due_at, ?), wakes = wakes + 1 WHERE dedupe_key = ?"""
_RESUME: Final = """
    UPDATE work SET due_at = min(due_at, ?), wakes = wakes + 1
    WHERE campaign_id = ? AND last_error = ?"""
_DUE: Final = """
    SELECT json_group_array(json_array(
        id, kind, dedupe_key, campaign_id, ref, payload, attempts + 1, wakes))
    FROM (
        SELECT * FROM work WHERE kind = ? AND due_at <= ? AND lease_until <= ?
        ORDER BY due_at, id LIMIT ?)"""
_ANY: Final = "SELECT 1 FROM work WHERE kind = ? AND due_at <= ? AND lease_until <= ? LIMIT 1"
_LEASE: Final = """
    UPDATE work SET lease_owner = ?, lease_until = ?, attempts = attempts + 1
    WHERE id IN (SELECT value FROM json_each(?))"""
_FINISH: Final = """
    DELETE FROM work WHERE id IN (
        SELECT w.id FROM json_each(?) AS j CROSS JOIN work AS w ON w.id = j.value ->> 0
        WHERE w.wakes = j.value ->> 1 AND w.lease_owner = ?)"""
_LET_GO: Final = """
    UPDATE work SET lease_owner = '', lease_until = 0, attempts = 0
    WHERE id IN (SELECT value ->> 0 FROM json_each(?)) AND lease_owner = ?"""
_PUT_OFF: Final = """
    UPDATE work SET
        lease_owner = '', lease_until = 0,
        due_at = CASE WHEN wakes = v.woken THEN v.due ELSE min(due_at, v.due) END,
        last_error = v.error,
        attempts = CASE v.fresh WHEN 1 THEN 0 ELSE attempts END,
        payload = coalesce(v.load, payload)
    FROM (
        SELECT value ->> 0 AS task, value ->> 1 AS woken, value ->> 2 AS due, value ->> 3 AS error,
            value ->> 4 AS fresh, value ->> 5 AS load
        FROM json_each(?)) AS v
    WHERE work.id = v.task AND lease_owner = ?"""
_WATCH: Final = """
    INSERT OR REPLACE INTO campaigns (campaign_id, collect_at, deadline_at, ended)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)"""
_NEXT: Final = """
    SELECT kind, min(max(due_at, lease_until)) FROM work WHERE due_at < ? GROUP BY kind"""
_TROUBLES: Final = """
    SELECT kind, dedupe_key, campaign_id, attempts, due_at, last_error FROM work
    WHERE last_error <> '' ORDER BY id LIMIT ?"""

_encode = msgspec.json.Encoder().encode
_tasks = msgspec.json.Decoder(list[tuple[int, Kind, str, str, str, str, int, int]])


class Work:
    """The open `work.db`. Several threads and processes may share the file; `owner` marks what
    this one has leased.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self._owner = owner
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _prepare)
        with self._writing() as connection:
            (version,) = connection.exec_driver_sql("PRAGMA user_version").one()
            if version != SCHEMA_VERSION:
                METADATA.drop_all(connection)
                METADATA.create_all(connection)
                connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    # --- Following -------------------------------------------------------------------------------

    def position(self, log_id: str) -> int:
        """Up to where this log was followed."""
        with self._engine.connect() as connection:
            row = connection.exec_driver_sql(
                "SELECT position FROM checkpoints WHERE log_id = ?", (log_id,)
            ).first()
        return row[0] if row else 0

    def campaigns(self) -> dict[str, WatchedCampaign]:
        """Every campaign that following knows of."""
        with self._engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT campaign_id, collect_at, deadline_at, ended FROM campaigns"
            )
            return {row[0]: WatchedCampaign(row[1], row[2], bool(row[3])) for row in rows}

    def apply(self, changes: Changes, log_id: str, before: int) -> bool:
        """Write what the events after position `before` change, and up to where they were followed.

        False, and nothing is written, where another process has followed them meanwhile.
        """
        with self._writing() as connection:
            run = connection.exec_driver_sql
            if not _move(connection, log_id, before, changes.position):
                return False
            if changes.dropped:
                run(_DROP, (_encode(sorted(changes.dropped)).decode(),))
            woken = [changes.jobs[key] for key in changes.jobs if key in changes.woken]
            ensured = [job for key, job in changes.jobs.items() if key not in changes.woken]
            for statement, jobs in ((_ENSURE, ensured), (_WAKE, woken)):
                if jobs:
                    run(statement, (_rows(jobs),))
            for key, at in changes.released.items():
                run(_RELEASE, (at, key))
            for (campaign_id, why), at in changes.resumed.items():
                run(_RESUME, (at, campaign_id, why))
            if changes.watched:
                rows = [
                    (campaign_id, *msgspec.structs.astuple(known))
                    for campaign_id, known in changes.watched.items()
                ]
                run(_WATCH, (_encode(rows).decode(),))
        return True

    def clear(self) -> None:
        """Forget everything; following begins anew."""
        with self._writing() as connection:
            for table in METADATA.sorted_tables:
                connection.execute(table.delete())

    # --- Running ---------------------------------------------------------------------------------

    def lease(self, kind: Kind, now: int, until: int, limit: int) -> list[Task]:
        """Take up to `limit` due rows of a kind; nobody else takes them before `until`."""
        with self._engine.connect() as connection:
            if connection.exec_driver_sql(_ANY, (kind, now, now)).first() is None:
                return []
        with self._writing() as connection:
            (packed,) = connection.exec_driver_sql(_DUE, (kind, now, now, limit)).one()
            tasks = [Task(*row) for row in _tasks.decode(packed)]
            if tasks:
                ids = _encode([task.id for task in tasks]).decode()
                connection.exec_driver_sql(_LEASE, (self._owner, until, ids))
        return tasks

    def settle(self, verdicts: Iterable[Verdict]) -> None:
        """Say what becomes of leased rows. A row that was woken meanwhile is not let go of, and
        one that somebody else took after the lease ran out is left to them.
        """
        finished: list[tuple[int, int]] = []
        put_off: list[tuple[Any, ...]] = []
        jobs: list[Job] = []
        for verdict in verdicts:
            task = verdict.task
            jobs += verdict.jobs
            if verdict.due_at is None:
                finished.append((task.id, task.wakes))
            else:
                put_off.append(
                    (
                        task.id,
                        task.wakes,
                        verdict.due_at,
                        verdict.error,
                        int(verdict.fresh),
                        verdict.payload,
                    )
                )
        with self._writing() as connection:
            run = connection.exec_driver_sql
            if jobs:
                run(_ENSURE, (_rows(jobs),))
            if finished:
                packed = _encode(finished).decode()
                run(_FINISH, (packed, self._owner))
                run(_LET_GO, (packed, self._owner))
            if put_off:
                run(_PUT_OFF, (_encode(put_off).decode(), self._owner))

    def next_due(self) -> dict[Kind, int]:
        """When the next row of each kind is due, in ms UTC."""
        with self._engine.connect() as connection:
            rows = connection.exec_driver_sql(_NEXT, (NEVER,)).all()
        return {row[0]: row[1] for row in rows}

    # --- Looking ---------------------------------------------------------------------------------

    def waiting(self) -> dict[Kind, int]:
        """How many rows there are of each kind."""
        with self._engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT kind, count(*) FROM work GROUP BY kind").all()
        return {row[0]: row[1] for row in rows}

    def troubles(self, limit: int = 100) -> list[Trouble]:
        """The rows that did not go through, the oldest first."""
        with self._engine.connect() as connection:
            rows: Sequence[Any] = connection.exec_driver_sql(_TROUBLES, (limit,)).all()
        return [Trouble(*row) for row in rows]


def _rows(jobs: Iterable[Job]) -> str:
    return _encode(
        [(j.kind, j.key, j.campaign_id, j.ref, j.due_at, j.payload) for j in jobs]
    ).decode()


def _move(connection: Connection, log_id: str, before: int, after: int) -> bool:
    run = connection.exec_driver_sql
    if before == 0:
        run("INSERT OR IGNORE INTO checkpoints VALUES (?, 0)", (log_id,))
    moved = run(
        "UPDATE checkpoints SET position = ? WHERE log_id = ? AND position = ?",
        (after, log_id, before),
    )
    return moved.rowcount == 1


def _prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where this file says so
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # What a power cut takes from the end is found again by following the log from the checkpoint.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()
