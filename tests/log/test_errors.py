"""No error of a store is lost or changes its meaning on the way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType

import psycopg
import pytest
from eventsourcing import persistence

from app.log import connection, postgres_connection

Errors = Callable[[], AbstractContextManager[None]]

STORES = pytest.mark.parametrize(
    ("store", "library_errors"),
    [
        (sqlite3, connection.library_errors),
        (psycopg, postgres_connection.library_errors),
    ],
    ids=["sqlite", "postgres"],
)


@STORES
@pytest.mark.parametrize(
    "name",
    [
        "IntegrityError",
        "OperationalError",
        "ProgrammingError",
        "DataError",
        "InternalError",
        "NotSupportedError",
        "DatabaseError",
        "InterfaceError",
    ],
)
def test_each_error_has_its_name_in_the_library(
    store: ModuleType, library_errors: Errors, name: str
) -> None:
    """With the message, and the cause behind it."""
    cause = getattr(store, name)("what happened")
    with (
        pytest.raises(persistence.PersistenceError, match="what happened") as told,
        library_errors(),
    ):
        raise cause
    assert type(told.value) is getattr(persistence, name)
    assert told.value.__cause__ is cause


@STORES
def test_a_stores_own_base_is_the_librarys(store: ModuleType, library_errors: Errors) -> None:
    """Also an error of no finer kind."""
    with pytest.raises(persistence.PersistenceError), library_errors():
        raise store.Error


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.errors.IdleInTransactionSessionTimeout,
        psycopg.errors.ReadOnlySqlTransaction,
        psycopg.errors.AdminShutdown,
    ],
)
def test_a_server_that_is_gone_is_an_operational_error(cause: type[psycopg.Error]) -> None:
    """Whatever class PostgreSQL's standard puts it in."""
    with (
        pytest.raises(persistence.OperationalError, match="gone"),
        postgres_connection.library_errors(),
    ):
        raise cause("gone")


@STORES
def test_other_errors_pass(store: ModuleType, library_errors: Errors) -> None:
    """They are not ours to rename."""
    with pytest.raises(KeyError), library_errors():
        raise KeyError
