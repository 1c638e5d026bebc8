"""No error of SQLite is lost or changes its meaning on the way."""

from __future__ import annotations

import sqlite3

import pytest
from eventsourcing import persistence

from app.log.connection import library_errors


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
def test_each_error_has_its_name_in_the_library(name: str) -> None:
    """With the message, and the cause behind it."""
    cause = getattr(sqlite3, name)("what happened")
    with (
        pytest.raises(persistence.PersistenceError, match="what happened") as told,
        library_errors(),
    ):
        raise cause
    assert type(told.value) is getattr(persistence, name)
    assert told.value.__cause__ is cause


def test_sqlites_own_base_is_the_librarys() -> None:
    """Also an error of no finer kind."""
    with pytest.raises(persistence.PersistenceError), library_errors():
        raise sqlite3.Error


def test_other_errors_pass() -> None:
    """They are not ours to rename."""
    with pytest.raises(KeyError), library_errors():
        raise KeyError
