"""The shapes of our schemas in a PostgreSQL database: made, changed and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, Engine, MetaData, func, select, text

from app.patience import PatientConnection
from app.stores.rows import lock_number

MIGRATING: Final = "tributary migrate"
"""The subject of the lock that is held while a schema is changed."""


class SchemaTooNewError(Exception):
    """The file or database was written by a newer version of Tributary."""


class NotMigratedError(Exception):
    """The database has not the shape that this version works with: `tributary migrate` gives it."""


class Schema(Struct, frozen=True):
    """Tables that belong together, in a schema `name` of their own.

    `upgrades` are the statements by which each shape is made from the one before, with `{number}`
    for the type of a whole number; new tables are simply made. Where `is_derived`, the tables are
    made anew instead: what they hold is found again in the log.
    """

    name: str
    shape: int
    tables: MetaData
    upgrades: Mapping[int, tuple[str, ...]] = {}
    is_derived: bool = False


def migrate(
    engine: Engine,
    schema: Schema,
    steps: Mapping[int, Callable[[Connection], object]] | None = None,
) -> str:
    """Make or change a schema in one transaction; return what was done.

    `steps` are what a shape changes in the rows of those before it, with all tables there. Several
    may do so at once: one does, the others find it done. Raises SchemaTooNewError.
    """
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, PatientConnection), "engines are made by postgres_engine"
        driver.answer_within_s = None  # a new index on a large table takes its time
        connection.execute(select(func.pg_advisory_xact_lock(lock_number(MIGRATING))))
        found = _found(connection, schema)
        if found > schema.shape:
            raise _too_new(schema, found)
        if found == schema.shape:
            return f"schema {schema.name}: has shape {found}, nothing to do"
        if not found:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema.name}"))
            connection.execute(text(f"CREATE TABLE {schema.name}.shape AS SELECT 0 AS shape"))
        elif schema.is_derived:
            schema.tables.drop_all(connection)
        else:
            for shape in range(found + 1, schema.shape + 1):
                for change in schema.upgrades.get(shape, ()):
                    connection.execute(text(change.format(number="BIGINT")))
        schema.tables.create_all(connection)
        for shape, step in (steps or {}).items():
            if 0 < found < shape:
                step(connection)
        connection.execute(
            text(f"UPDATE {schema.name}.shape SET shape = :shape"),  # noqa: S608 - our own name
            {"shape": schema.shape},
        )
    if not found:
        return f"schema {schema.name}: made, shape {schema.shape}"
    return f"schema {schema.name}: from shape {found} to {schema.shape}"


def check(connection: Connection, schema: Schema) -> None:
    """Raise NotMigratedError or SchemaTooNewError unless the schema has our shape."""
    found = _found(connection, schema)
    if found > schema.shape:
        raise _too_new(schema, found)
    if found < schema.shape:
        had = f"has shape {found} of {schema.shape}" if found else "is not there yet"
        raise NotMigratedError(
            f"The database's schema {schema.name} {had}: run `tributary migrate` first."
        )


def _found(connection: Connection, schema: Schema) -> int:
    """The shape that the schema has; 0 where there is none."""
    if connection.execute(select(func.to_regclass(f"{schema.name}.shape"))).scalar() is None:
        return 0
    shape = connection.execute(text(f"SELECT shape FROM {schema.name}.shape"))  # noqa: S608
    return int(shape.scalar_one())


def _too_new(schema: Schema, found: int) -> SchemaTooNewError:
    return SchemaTooNewError(
        f"The database's schema {schema.name} has shape {found}, this version knows"
        f" {schema.shape}: a newer version of Tributary made it."
    )
