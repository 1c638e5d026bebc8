"""What is still to be done: rows in `work.db` or PostgreSQL's schema `work`, found by following the
log.

Nothing here is a truth of its own. A row says "see to this, from then on"; what there is to do is
read from the campaign's state when its time has come. So the rows can be lost: following the log
from its beginning writes them anew. Rows are deleted when they are done.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    MetaData,
    Table,
    create_engine,
    event,
    func,
    select,
    text,
    update,
)
from sqlalchemy.pool import ConnectionPoolEntry

from app.settings import Settings
from app.stores.connecting import postgres_engine, speak_plainly
from app.stores.rows import Number, Text, lock_number, packed, phrased, upsert
from app.stores.shapes import Schema, check, migrate

SCHEMA_VERSION: Final = 1
"""Kept with the rows. Those of another version are thrown away: the log brings them again."""

NEVER: Final = 2**62
"""The `due_at` of what waits for somebody's decision."""

BACK_OFF_FIRST_MS: Final = 1_000
BACK_OFF_LAST_MS: Final = 3_600_000
BUSY_TIMEOUT_S: Final = 30.0
ERROR_CHARACTERS: Final = 500

Kind = Literal[
    "close", "lapse", "page", "collect", "drop", "cancel", "give_back", "refund", "return", "payout"
]
"""What a row is about; see the runner of that kind."""

METADATA: Final = MetaData()

WORK: Final = Table(
    "work",
    METADATA,
    Column("id", Number, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("dedupe_key", Text, nullable=False, unique=True),
    Column("campaign_id", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("due_at", Number, nullable=False),
    Column("attempts", Number, nullable=False, server_default="0"),
    Column("lease_until", Number, nullable=False, server_default="0"),
    Column("lease_owner", Text, nullable=False, server_default=""),
    Column("wakes", Number, nullable=False, server_default="0"),
    Column("last_error", Text, nullable=False, server_default=""),
    Index("work_due", "kind", "due_at"),
    Index(
        "work_in_trouble",
        "campaign_id",
        "last_error",
        sqlite_where=text("last_error <> ''"),
        postgresql_where=text("last_error <> ''"),
    ),
    sqlite_strict=True,
)

CHECKPOINTS: Final = Table(
    "checkpoints",
    METADATA,
    Column("log_id", Text, primary_key=True),
    Column("position", Number, nullable=False),
    sqlite_strict=True,
)

CAMPAIGNS: Final = Table(
    "campaigns",
    METADATA,
    Column("campaign_id", Text, primary_key=True),
    Column("collect_at", Text, nullable=False),
    Column("deadline_at", Number, nullable=False),
    Column("ended", Number, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

WORK_SCHEMA: Final = Schema("work", SCHEMA_VERSION, METADATA, is_derived=True)


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


_COLUMNS: Final = "(kind, dedupe_key, campaign_id, ref, due_at, payload)"
_ROWS: Final = """
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, CAST(value ->> 4 AS {number}),
        value ->> 5
    FROM {rows} WHERE true"""
_ENSURE: Final = phrased(f"INSERT INTO work {_COLUMNS} {_ROWS} ON CONFLICT (dedupe_key) DO NOTHING")
_WAKE: Final = phrased(f"""
    INSERT INTO work {_COLUMNS} {_ROWS}
    ON CONFLICT (dedupe_key) DO UPDATE SET
        due_at = {{least}}(work.due_at, excluded.due_at),
        payload = CASE excluded.payload WHEN '' THEN work.payload ELSE excluded.payload END,
        wakes = work.wakes + 1""")
_DROP: Final = phrased("DELETE FROM work WHERE dedupe_key IN (SELECT value FROM {strings})")
_RELEASE: Final = phrased("""
    UPDATE work SET due_at = {least}(due_at, v.due), wakes = wakes + 1
    FROM (SELECT value ->> 0 AS key, CAST(value ->> 1 AS {number}) AS due FROM {rows}) AS v
    WHERE work.dedupe_key = v.key""")
_RESUME: Final = phrased("""
    UPDATE work SET due_at = {least}(due_at, v.due), wakes = wakes + 1
    FROM (
        SELECT value ->> 0 AS campaign, value ->> 1 AS why, CAST(value ->> 2 AS {number}) AS due
        FROM {rows}) AS v
    WHERE work.campaign_id = v.campaign AND work.last_error = v.why AND work.last_error <> ''""")
_DUE: Final = phrased("""
    SELECT {pack} id, kind, dedupe_key, campaign_id, ref, payload, attempts + 1, wakes {packed}
    FROM (
        SELECT * FROM work WHERE kind = :kind AND due_at <= :now AND lease_until <= :now
        ORDER BY due_at, id LIMIT :limit {skip_locked}) AS due""")
_ANY: Final = text("""
    SELECT 1 FROM work WHERE kind = :kind AND due_at <= :now AND lease_until <= :now LIMIT 1""")
_LEASE: Final = phrased("""
    UPDATE work SET lease_owner = :owner, lease_until = :until, attempts = attempts + 1
    WHERE id IN (SELECT CAST(value AS {number}) FROM {strings})""")
_FINISH: Final = phrased("""
    DELETE FROM work WHERE id IN (
        SELECT w.id
        FROM (
            SELECT CAST(value ->> 0 AS {number}) AS task, CAST(value ->> 1 AS {number}) AS woken
            FROM {rows}) AS v
        {each_joins} work AS w ON w.id = v.task
        WHERE w.wakes = v.woken AND w.lease_owner = :owner)""")
_LET_GO: Final = phrased("""
    UPDATE work SET lease_owner = '', lease_until = 0, attempts = 0
    WHERE id IN (SELECT CAST(value ->> 0 AS {number}) FROM {rows}) AND lease_owner = :owner""")
_PUT_OFF: Final = phrased("""
    UPDATE work SET
        lease_owner = '', lease_until = 0,
        due_at = CASE WHEN wakes = v.woken THEN v.due ELSE {least}(due_at, v.due) END,
        last_error = v.error,
        attempts = CASE v.fresh WHEN '1' THEN 0 ELSE attempts END,
        payload = coalesce(v.load, payload)
    FROM (
        SELECT CAST(value ->> 0 AS {number}) AS task, CAST(value ->> 1 AS {number}) AS woken,
            CAST(value ->> 2 AS {number}) AS due, value ->> 3 AS error,
            CAST(value ->> 4 AS TEXT) AS fresh, value ->> 5 AS load
        FROM {rows}) AS v
    WHERE work.id = v.task AND lease_owner = :owner""")
_WATCH: Final = phrased("""
    INSERT INTO campaigns (campaign_id, collect_at, deadline_at, ended)
    SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS {number}), CAST(value ->> 3 AS {number})
    FROM {rows} WHERE true
    ON CONFLICT (campaign_id) DO UPDATE SET collect_at = excluded.collect_at,
        deadline_at = excluded.deadline_at, ended = excluded.ended""")
_NEXT: Final = phrased("""
    SELECT kind, min({greatest}(due_at, lease_until)) FROM work WHERE due_at < :never
    GROUP BY kind""")
_TROUBLES: Final = text("""
    SELECT kind, dedupe_key, campaign_id, attempts, due_at, last_error FROM work
    WHERE last_error <> '' ORDER BY id LIMIT :limit""")

_tasks = msgspec.json.Decoder(list[tuple[int, Kind, str, str, str, str, int, int]])


class Work:
    """The open work store. Several threads, processes and, with PostgreSQL, machines may share it;
    `owner` marks what this one has leased.

    Who writes by what it read does so alone, as in SQLite everybody does: rows are touched in any
    order. Only leasing goes on beside it, and steps over what others hold.
    """

    def __init__(self, engine: Engine, owner: str = "") -> None:
        self._owner = owner or str(uuid.uuid4())
        self._engine = engine
        self._dialect = engine.dialect.name

    def close(self) -> None:
        """Close the store."""
        self._engine.dispose()

    @contextmanager
    def _writing(self, *, alone: bool = True) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            if self._dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            elif alone:
                connection.execute(select(func.pg_advisory_xact_lock(_WRITING)))
            yield connection

    # --- Following -------------------------------------------------------------------------------

    def position(self, log_id: str) -> int:
        """Up to where this log was followed."""
        with self._engine.connect() as connection:
            row = connection.execute(
                select(CHECKPOINTS.c.position).where(CHECKPOINTS.c.log_id == log_id)
            ).first()
        return row[0] if row else 0

    def campaigns(self) -> dict[str, WatchedCampaign]:
        """Every campaign that following knows of."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(CAMPAIGNS))
            return {
                row.campaign_id: WatchedCampaign(row.collect_at, row.deadline_at, bool(row.ended))
                for row in rows
            }

    def apply(self, changes: Changes, log_id: str, before: int) -> bool:
        """Write what the events after position `before` change, and up to where they were followed.

        False, and nothing is written, where another process has followed them meanwhile.
        """
        with self._writing() as connection:
            if not _move(connection, log_id, before, changes.position):
                return False
            woken = [changes.jobs[key] for key in changes.jobs if key in changes.woken]
            ensured = [job for key, job in changes.jobs.items() if key not in changes.woken]
            watched = [
                (campaign_id, known.collect_at, known.deadline_at, int(known.ended))
                for campaign_id, known in changes.watched.items()
            ]
            for statement, rows in (
                (_DROP, sorted(changes.dropped)),
                (_ENSURE, _rows(ensured)),
                (_WAKE, _rows(woken)),
                (_RELEASE, list(changes.released.items())),
                (_RESUME, [(*what, at) for what, at in changes.resumed.items()]),
                (_WATCH, watched),
            ):
                if rows:
                    connection.execute(statement[self._dialect], {"packed": packed(rows)})
        return True

    def clear(self) -> None:
        """Forget everything; following begins anew."""
        with self._writing() as connection:
            for table in METADATA.sorted_tables:
                connection.execute(table.delete())

    # --- Running ---------------------------------------------------------------------------------

    def lease(self, kind: Kind, now: int, until: int, limit: int) -> list[Task]:
        """Take up to `limit` due rows of a kind; nobody else takes them before `until`."""
        due = {"kind": kind, "now": now}
        with self._engine.connect() as connection:
            if connection.execute(_ANY, due).first() is None:
                return []
        with self._writing(alone=False) as connection:
            found = connection.execute(_DUE[self._dialect], due | {"limit": limit})
            tasks = [Task(*row) for row in _tasks.decode(found.scalar_one())]
            if tasks:
                connection.execute(
                    _LEASE[self._dialect],
                    {
                        "owner": self._owner,
                        "until": until,
                        "packed": packed(task.id for task in tasks),
                    },
                )
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
            for statement, rows in (
                (_ENSURE, _rows(jobs)),
                (_FINISH, finished),
                (_LET_GO, finished),
                (_PUT_OFF, put_off),
            ):
                if rows:
                    values = {"packed": packed(rows)}
                    if statement is not _ENSURE:
                        values["owner"] = self._owner
                    connection.execute(statement[self._dialect], values)

    def next_due(self) -> dict[Kind, int]:
        """When the next row of each kind is due, in ms UTC."""
        with self._engine.connect() as connection:
            rows = connection.execute(_NEXT[self._dialect], {"never": NEVER}).all()
        return {row[0]: row[1] for row in rows}

    # --- Looking ---------------------------------------------------------------------------------

    def waiting(self) -> dict[Kind, int]:
        """How many rows there are of each kind."""
        with self._engine.connect() as connection:
            query = select(WORK.c.kind, func.count()).group_by(WORK.c.kind)
            return {row[0]: row[1] for row in connection.execute(query)}

    def troubles(self, limit: int = 100) -> list[Trouble]:
        """The rows that did not go through, the oldest first."""
        with self._engine.connect() as connection:
            rows: Sequence[Any] = connection.execute(_TROUBLES, {"limit": limit}).all()
        return [Trouble(*row) for row in rows]


_WRITING: Final = lock_number("the work of the processes")


def _rows(jobs: Iterable[Job]) -> list[tuple[object, ...]]:
    return [(j.kind, j.key, j.campaign_id, j.ref, j.due_at, j.payload) for j in jobs]


def _move(connection: Connection, log_id: str, before: int, after: int) -> bool:
    """Move the checkpoint on; False where it is not where it was."""
    if before == 0:
        first = upsert(CHECKPOINTS).values(log_id=log_id, position=0)
        connection.execute(first.on_conflict_do_nothing())
    moved = connection.execute(
        update(CHECKPOINTS)
        .where(CHECKPOINTS.c.log_id == log_id, CHECKPOINTS.c.position == before)
        .values(position=after)
    )
    return moved.rowcount == 1


# --- Opening -------------------------------------------------------------------------------------


def open_work(settings: Settings) -> Engine:
    """Open the work store. A file is made where it is missing; a database has to be migrated.

    Raises SchemaTooNewError, NotMigratedError and StoreUnavailableError.
    """
    if not settings.database_url:
        return _open_file(settings.work_path)[0]
    engine = _connect(settings)
    try:
        with engine.connect() as connection:
            check(connection, WORK_SCHEMA)
    except BaseException:
        engine.dispose()
        raise
    return engine


def migrate_work(settings: Settings) -> str:
    """Make the work store, or make it anew in our shape; return what was done."""
    if settings.database_url:
        engine = _connect(settings)
        try:
            return migrate(engine, WORK_SCHEMA)
        finally:
            engine.dispose()
    engine, found = _open_file(settings.work_path)
    engine.dispose()
    name = settings.work_path.name
    if found == SCHEMA_VERSION:
        return f"{name}: has shape {found}, nothing to do"
    made = f"made anew, from shape {found} to" if found else "made, shape"
    return f"{name}: {made} {SCHEMA_VERSION}"


def _connect(settings: Settings) -> Engine:
    return postgres_engine(settings.database_url, WORK_SCHEMA.name, lock_timeout_s=BUSY_TIMEOUT_S)


def _open_file(path: Path) -> tuple[Engine, int]:
    """Open the file, and return with it the shape that it had: 0 for a new one."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare)
    speak_plainly(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        (found,) = connection.exec_driver_sql("PRAGMA user_version").one()
        if found != SCHEMA_VERSION:
            METADATA.drop_all(connection)
            METADATA.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return engine, int(found)


def _prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where this file says so
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # What a power cut takes from the end is found again by following the log from the checkpoint.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()
