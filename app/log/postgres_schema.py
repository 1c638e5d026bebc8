"""The log's and the snapshots' tables in PostgreSQL, and how older ones are brought up to date."""

from __future__ import annotations

import uuid
from typing import Final

from eventsourcing.persistence import ProgrammingError

from app.log.postgres_connection import Connection, connect_writer, library_errors

SCHEMA_VERSION: Final = 1
SNAPSHOTS_VERSION: Final = 1
_MIGRATION_LOCK: Final = 7_453_010_373_645_639_777
"""The advisory lock under which a database is migrated; the number has no meaning."""

# Position and version come from the append turn alone: a sequence leaves gaps.
_LOG_1: Final = (
    "CREATE SCHEMA log",
    "CREATE TABLE log.meta (name text PRIMARY KEY, value text NOT NULL)",
    "CREATE TABLE log.streams (id integer PRIMARY KEY, name text NOT NULL UNIQUE)",
    """CREATE TABLE log.events (
        position bigint NOT NULL,
        stream integer NOT NULL,
        version integer NOT NULL,
        at bigint NOT NULL,
        tag text NOT NULL,
        body bytea NOT NULL,
        CONSTRAINT events_by_position PRIMARY KEY (position) WITH (fillfactor = 100)
    )""",
    "CREATE UNIQUE INDEX events_by_stream ON log.events (stream, version)",
    """CREATE TABLE log.keys (
        key bytea PRIMARY KEY,
        digest bytea NOT NULL,
        stream integer NOT NULL,
        version integer NOT NULL,
        position bigint NOT NULL,
        count integer NOT NULL
    )""",
    # Nothing is ever edited or deleted in the log; an append costs nothing by this.
    """CREATE FUNCTION log.keep_events() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'events are never changed or deleted (%)', TG_OP
                USING ERRCODE = 'integrity_constraint_violation';
        END $$""",
    """CREATE TRIGGER events_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON log.events
        FOR EACH STATEMENT EXECUTE FUNCTION log.keep_events()""",
    "ALTER TABLE log.events ENABLE ALWAYS TRIGGER events_are_final",
)
_SNAPSHOTS_1: Final = (
    "CREATE SCHEMA snapshots",
    "CREATE TABLE snapshots.meta (name text PRIMARY KEY, value text NOT NULL)",
    # `topic` holds the state schema; a snapshot's chunks are numbered from 0 up to `chunks` - 1.
    """CREATE TABLE snapshots.snapshots (
        stream text NOT NULL,
        topic text NOT NULL,
        version integer NOT NULL,
        chunk integer NOT NULL,
        chunks integer NOT NULL,
        anchor bytea NOT NULL,
        weight integer NOT NULL,
        checksum bigint NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (stream, version, topic, chunk)
    )""",
    # Chunks are compressed already.
    "ALTER TABLE snapshots.snapshots ALTER COLUMN body SET STORAGE EXTERNAL",
)
_STEPS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "log": (_LOG_1,),
    "snapshots": (_SNAPSHOTS_1,),
}
"""By schema, the statements that lead to version 1, 2 …"""


def migrate_log(database_url: str) -> list[str]:
    """Make or bring up to date the log's and the snapshots' tables; return what was done.

    All of it is done or nothing, by one process at a time. Raises ProgrammingError where the
    database was made by a newer Tributary, OperationalError where it cannot be reached.
    """
    with library_errors(), connect_writer(database_url) as connection:
        connection.answer_within_s = None  # a new index on a large log takes its time
        connection.execute("BEGIN")
        # A statement of its own: what is read next is read after who held the lock before.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        done = [said for schema in _STEPS for said in _migrate(connection, schema)]
        connection.execute("COMMIT")
    return done


def _migrate(connection: Connection, schema: str) -> list[str]:
    steps = _STEPS[schema]
    version = version_of(connection, schema)
    if version > len(steps):
        raise _newer(schema, version)
    for step in steps[version:]:
        for statement in step:
            connection.execute(statement)
    if version == len(steps):
        return []
    if version == 0 and schema == "log":
        _put_meta(connection, schema, "log_id", str(uuid.uuid4()))
    _put_meta(connection, schema, "schema_version", str(len(steps)))
    return [f"{schema}: from version {version} to {len(steps)}"]


def _put_meta(connection: Connection, schema: str, name: str, value: str) -> None:
    connection.execute(
        f"INSERT INTO {schema}.meta VALUES (%s, %s)"  # noqa: S608 - a schema of ours
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def version_of(connection: Connection, schema: str) -> int:
    """Return the version of a schema's tables; 0 where there are none."""
    made = connection.execute("SELECT to_regclass(%s)", (f"{schema}.meta",)).fetchone()
    if made is None or made[0] is None:
        return 0
    return int(_meta(connection, schema)["schema_version"])


def _meta(connection: Connection, schema: str) -> dict[str, str]:
    found = connection.execute(f"SELECT name, value FROM {schema}.meta")  # noqa: S608 - as above
    return dict(found.fetchall())


def require_version(connection: Connection, schema: str) -> int:
    """Return the version of a schema's tables.

    Raises ProgrammingError where they are missing, older or newer than this code.
    """
    version = version_of(connection, schema)
    known = len(_STEPS[schema])
    if version > known:
        raise _newer(schema, version)
    if version < known:
        raise ProgrammingError(
            f"the database has schema {version or 'no'} of the {schema}, this Tributary needs"
            f" {known}: run `tributary migrate`"
        )
    return version


def log_id_of(connection: Connection) -> str:
    """Return the random id that the log was given when it was made."""
    return _meta(connection, "log")["log_id"]


def _newer(schema: str, version: int) -> ProgrammingError:
    return ProgrammingError(
        f"the database has schema {version} of the {schema}, this Tributary knows up to"
        f" {len(_STEPS[schema])}"
    )
