"""How the people store is made and opened: `people.db`, or PostgreSQL's schema `people`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateIndex, CreateTable

from app.keys import load_master
from app.processes.work import migrate_work
from app.settings import Settings
from app.stores.accounts import ACCOUNTS, GRANTS, JOINED
from app.stores.api_keys import API_KEYS
from app.stores.attempts import ATTEMPTS
from app.stores.card_tries import CARD_TRIES
from app.stores.channels import CHANNELS
from app.stores.checkouts import CHECKOUTS
from app.stores.connecting import postgres_engine, postgres_engine_async, speak_plainly
from app.stores.content import CONTENT
from app.stores.drafts import DRAFTS
from app.stores.features import FEATURES
from app.stores.follows import FOLLOWS
from app.stores.mail_choices import MAIL_CHOICES
from app.stores.mail_news import MAIL_NEWS
from app.stores.mail_tokens import MAIL_TOKENS
from app.stores.mails import MAILS
from app.stores.methods import PAYMENT_METHODS
from app.stores.party_keys import (
    MASTER,
    Master,
    carry,
    known_fingerprint,
    settle_master,
    wrap_plain_keys,
)
from app.stores.passkeys import CHALLENGES, PASSKEYS
from app.stores.people import PARTIES
from app.stores.pictures import PICTURES
from app.stores.questions import QUESTIONS
from app.stores.repeats import REPEATS
from app.stores.reports import REPORTS
from app.stores.rows import METADATA
from app.stores.sealed import SEALED, seal_addresses
from app.stores.sessions import SESSIONS
from app.stores.shapes import Schema, SchemaTooNewError, check, migrate
from app.stores.shown_names import SHOWN_NAMES
from app.stores.staff_acts import STAFF_ACTS
from app.transparency.store import migrate_transparency

TABLES: Final[tuple[Table, ...]] = (
    PARTIES,
    CONTENT,
    DRAFTS,
    CHANNELS,
    API_KEYS,
    PAYMENT_METHODS,
    SESSIONS,
    CHECKOUTS,
    REPEATS,
    ACCOUNTS,
    JOINED,
    GRANTS,
    FEATURES,
    MAIL_TOKENS,
    MAILS,
    MAIL_CHOICES,
    FOLLOWS,
    MAIL_NEWS,
    PASSKEYS,
    CHALLENGES,
    ATTEMPTS,
    QUESTIONS,
    REPORTS,
    STAFF_ACTS,
    PICTURES,
    SEALED,
    CARD_TRIES,
    SHOWN_NAMES,
    MASTER,
)

SCHEMA_VERSION: Final = 6
"""Kept with the tables, so that an older program does not write to a newer shape."""

UPGRADES: Final[dict[int, tuple[str, ...]]] = {
    2: (
        "ALTER TABLE sessions ADD COLUMN signed_in_at {number}",
        "ALTER TABLE sessions ADD COLUMN stepped_up_at {number}",
        "ALTER TABLE api_keys ADD COLUMN channel TEXT",
    ),
    3: (
        "ALTER TABLE sessions ADD COLUMN browser TEXT",
        "ALTER TABLE payment_methods ADD COLUMN card_mark TEXT NOT NULL DEFAULT ''",
    ),
    4: (
        "ALTER TABLE mails ADD COLUMN written {number} NOT NULL DEFAULT 0",
        "UPDATE mails SET written = rowid",
    ),
    6: (
        """CREATE INDEX IF NOT EXISTS parties_forgotten ON parties (forgotten_at)
        WHERE forgotten_at IS NOT NULL""",
    ),
}
"""What each shape changes in the tables of the one before; new tables are simply made.

PostgreSQL was never of a shape before 4.
"""

STEPS: Final[Mapping[int, Callable[[Connection, Master], object]]] = {
    5: wrap_plain_keys,
    6: seal_addresses,
}
"""What each shape changes in the rows of those before it."""

PEOPLE: Final = Schema("people", SCHEMA_VERSION, METADATA, UPGRADES)

BUSY_TIMEOUT_S: Final = 10.0


async def open_people(settings: Settings) -> AsyncEngine:
    """Open the people store. A file is made where it is missing; a database has to be migrated.

    The engine carries the master key (`party_keys.master_of`). Raises SchemaTooNewError,
    NotMigratedError, StoreUnavailableError, and SettingsError where the master key is missing or
    another than before.
    """
    if settings.database_url:
        url, name = settings.database_url, PEOPLE.name
        engine = postgres_engine_async(url, name, lock_timeout_s=BUSY_TIMEOUT_S)
    else:
        await asyncio.to_thread(create_people, settings)
        engine = create_async_engine(f"sqlite+aiosqlite:///{settings.people_path}", pool_size=4)
        event.listen(engine.sync_engine, "connect", _prepare)
        speak_plainly(engine.sync_engine)
    try:
        async with engine.begin() as connection:
            master = await connection.run_sync(_settled_master, settings)
    except BaseException:
        await engine.dispose()
        raise
    return engine.execution_options(**carry(master))


def open_people_sync(settings: Settings) -> Engine:
    """Open the people store for code that runs in a thread or a command; see `open_people`."""
    if not settings.database_url:
        create_people(settings)
    engine = _connect(settings)
    try:
        with engine.begin() as connection:
            master = _settled_master(connection, settings)
    except BaseException:
        engine.dispose()
        raise
    return engine.execution_options(**carry(master))


def migrate_people(settings: Settings) -> str:
    """Make or upgrade the people store; return what was done. Raises as `open_people`."""
    if not settings.database_url:
        name = settings.people_path.name
        found = create_people(settings)
        if not found:
            return f"{name}: made, shape {SCHEMA_VERSION}"
        if found == SCHEMA_VERSION:
            return f"{name}: has shape {found}, nothing to do"
        return f"{name}: from shape {found} to {SCHEMA_VERSION}"
    engine = _connect(settings)
    try:
        return migrate(engine, PEOPLE, {shape: partial(_step, settings, shape) for shape in STEPS})
    finally:
        engine.dispose()


def migrate_stores(settings: Settings) -> list[str]:
    """Make or upgrade the stores beside the log; return what was done, a sentence each.

    Raises SchemaTooNewError and StoreUnavailableError.
    """
    return [migrate_people(settings), migrate_work(settings), migrate_transparency(settings)]


def _connect(settings: Settings) -> Engine:
    if settings.database_url:
        return postgres_engine(settings.database_url, PEOPLE.name, lock_timeout_s=BUSY_TIMEOUT_S)
    engine = create_engine(f"sqlite:///{settings.people_path}")
    event.listen(engine, "connect", _prepare)
    speak_plainly(engine)
    return engine


def _settled_master(connection: Connection, settings: Settings) -> Master:
    """The master key of a store whose shape is ours; made where nothing was ever wrapped by one."""
    if settings.database_url:
        check(connection, PEOPLE)
    return _master(connection, settings)


def _master(connection: Connection, settings: Settings) -> Master:
    known = known_fingerprint(connection)
    master = Master(load_master(settings, make=known is None))
    if known != master.fingerprint:
        settle_master(connection, master)
    return master


def _step(settings: Settings, shape: int, connection: Connection) -> None:
    STEPS[shape](connection, _master(connection, settings))


def create_people(settings: Settings) -> int:
    """Make the file and its tables where they are missing; several processes may do so at once.

    Returns the shape that was found, 0 for a new file. Raises SchemaTooNewError, and SettingsError
    where an older file is upgraded and its master key cannot be had.
    """
    path = settings.people_path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Without transactions of the driver's own: one is begun below, and ended by `commit`.
    driver = {"timeout": BUSY_TIMEOUT_S, "isolation_level": None}
    engine = create_engine(f"sqlite:///{path}", connect_args=driver)
    speak_plainly(engine)
    try:
        with engine.connect() as connection:
            found = _shape(connection)
            if found > SCHEMA_VERSION:
                raise SchemaTooNewError(
                    f"{path} has shape {found}, this version knows {SCHEMA_VERSION}"
                )
            return found if found == SCHEMA_VERSION else _upgrade(settings, connection)
    finally:
        engine.dispose()


def _upgrade(settings: Settings, connection: Connection) -> int:
    """Give a file our shape; return the one that it had."""
    execute = connection.exec_driver_sql
    execute("PRAGMA journal_mode = WAL")
    execute("PRAGMA secure_delete = ON")
    execute("BEGIN IMMEDIATE")
    found = _shape(connection)
    changes = [
        change.format(number="INTEGER")
        for shape, made in UPGRADES.items()
        if 0 < found < shape
        for change in made
    ]
    for statement in (*changes, *_ddl()):
        execute(statement)
    steps = [shape for shape in STEPS if 0 < found < shape]
    for shape in steps:
        _step(settings, shape, connection)
    execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.commit()
    if steps:
        # What was wrapped now stood there as it was, perhaps in pages' unused places, too.
        execute("VACUUM")
        execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return found


def _shape(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _ddl() -> Iterator[str]:
    dialect = create_engine("sqlite://").dialect
    for table in TABLES:
        yield str(CreateTable(table, if_not_exists=True).compile(dialect=dialect))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect))


def _prepare(connection: object, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # whichever driver SQLAlchemy has
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # A pledge in the log must never outlive the backer it names: both are on disk when answered.
    cursor.execute("PRAGMA synchronous = FULL")
    # What is erased is overwritten, not only unlinked.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()
