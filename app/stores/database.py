"""How the people store is made and opened: `people.db`, or PostgreSQL's schema `people`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, Table, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateIndex, CreateTable

from app.processes.work import migrate_work
from app.settings import Settings
from app.stores.accounts import ACCOUNTS, GRANTS, JOINED
from app.stores.addresses import ADDRESSES
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
from app.stores.passkeys import CHALLENGES, PASSKEYS
from app.stores.people import PARTIES
from app.stores.pictures import PICTURES
from app.stores.questions import QUESTIONS
from app.stores.repeats import REPEATS
from app.stores.reports import REPORTS
from app.stores.rows import METADATA
from app.stores.sessions import SESSIONS
from app.stores.shapes import Schema, SchemaTooNewError, check, migrate
from app.stores.shown_names import SHOWN_NAMES
from app.stores.staff_acts import STAFF_ACTS

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
    ADDRESSES,
    CARD_TRIES,
    SHOWN_NAMES,
)

SCHEMA_VERSION: Final = 4
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
}
"""What each shape changes in the tables of the one before; new tables are simply made.

PostgreSQL was never of a shape before 4.
"""

PEOPLE: Final = Schema("people", SCHEMA_VERSION, METADATA, UPGRADES)

BUSY_TIMEOUT_S: Final = 10.0


async def open_people(settings: Settings) -> AsyncEngine:
    """Open the people store. A file is made where it is missing; a database has to be migrated.

    Raises SchemaTooNewError, NotMigratedError and StoreUnavailableError.
    """
    if settings.database_url:
        engine = postgres_engine_async(
            settings.database_url, PEOPLE.name, lock_timeout_s=BUSY_TIMEOUT_S
        )
        try:
            async with engine.connect() as connection:
                await connection.run_sync(check, PEOPLE)
        except BaseException:
            await engine.dispose()
            raise
        return engine
    path = settings.people_path
    await asyncio.to_thread(create_people, path)
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=4)
    event.listen(engine.sync_engine, "connect", _prepare)
    speak_plainly(engine.sync_engine)
    return engine


def open_people_sync(settings: Settings) -> Engine:
    """Open the people store for code that runs in a thread or a command; see `open_people`."""
    if settings.database_url:
        engine = _connect(settings)
        try:
            with engine.connect() as connection:
                check(connection, PEOPLE)
        except BaseException:
            engine.dispose()
            raise
        return engine
    create_people(settings.people_path)
    engine = create_engine(f"sqlite:///{settings.people_path}")
    event.listen(engine, "connect", _prepare)
    speak_plainly(engine)
    return engine


def migrate_people(settings: Settings) -> str:
    """Make or upgrade the people store; return what was done. Raises as `open_people`."""
    if not settings.database_url:
        path = settings.people_path
        found = create_people(path)
        if not found:
            return f"{path.name}: made, shape {SCHEMA_VERSION}"
        if found == SCHEMA_VERSION:
            return f"{path.name}: has shape {found}, nothing to do"
        return f"{path.name}: from shape {found} to {SCHEMA_VERSION}"
    engine = _connect(settings)
    try:
        return migrate(engine, PEOPLE)
    finally:
        engine.dispose()


def migrate_stores(settings: Settings) -> list[str]:
    """Make or upgrade the stores beside the log; return what was done, a sentence each.

    Raises SchemaTooNewError and StoreUnavailableError.
    """
    return [migrate_people(settings), migrate_work(settings)]


def _connect(settings: Settings) -> Engine:
    return postgres_engine(settings.database_url, PEOPLE.name, lock_timeout_s=BUSY_TIMEOUT_S)


def create_people(path: Path) -> int:
    """Make the file and its tables where they are missing; several processes may do so at once.

    Returns the shape that was found, 0 for a new file. Raises SchemaTooNewError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    with closing(connection):
        found = _shape(connection)
        if found > SCHEMA_VERSION:
            raise SchemaTooNewError(
                f"{path} has shape {found}, this version knows {SCHEMA_VERSION}"
            )
        if found == SCHEMA_VERSION:
            return found
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        found = _shape(connection)
        changes = [
            change.format(number="INTEGER")
            for shape, made in UPGRADES.items()
            if 0 < found < shape
            for change in made
        ]
        for statement in (*changes, *_ddl()):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    return found


def _shape(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


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
