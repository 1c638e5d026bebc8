"""Connections that do not wait for ever."""

from __future__ import annotations

import psycopg
import pytest

from app.patience import PatientAsyncConnection, PatientConnection

pytestmark = pytest.mark.postgres
SLEEP = "SELECT pg_sleep(30)"


def test_a_statement_without_an_answer_is_given_up(postgres_url: str) -> None:
    """The connection is closed, so that nothing is ever asked of it again."""
    connection = PatientConnection.connect(postgres_url, autocommit=True)
    with connection.waiting(0.1), pytest.raises(psycopg.OperationalError, match="not answered"):
        connection.execute(SLEEP)
    assert connection.closed


def test_what_is_answered_in_time_is_waited_for(postgres_url: str) -> None:
    """A statement may take as long as it was given, and the usual time holds again afterwards."""
    with PatientConnection.connect(postgres_url, autocommit=True) as connection:
        with connection.waiting(None):
            connection.execute("SELECT pg_sleep(0.2)")
        assert connection.answer_within_s == PatientConnection.answer_within_s
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_silent_server_is_not_waited_for_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other connections give it a moment only, until it answers one of them."""
    monkeypatch.setattr("app.patience.AFTER_SILENCE_S", 0.1)
    first, second, third = (
        PatientConnection.connect(postgres_url, autocommit=True) for _ in range(3)
    )
    for connection, seconds in ((first, 0.2), (second, 20)):
        with (
            connection.waiting(seconds),
            pytest.raises(psycopg.OperationalError, match=r"0\.[12] s"),
        ):
            connection.execute(SLEEP)
    with third:
        third.execute("SELECT 1")
        third.execute("SELECT pg_sleep(0.2)")


async def test_an_event_loop_does_not_wait_for_ever_either(postgres_url: str) -> None:
    """The same for connections of a loop."""
    connection = await PatientAsyncConnection.connect(postgres_url, autocommit=True)
    connection.answer_within_s = 0.1
    with pytest.raises(psycopg.OperationalError, match="not answered"):
        await connection.execute(SLEEP)
    assert connection.closed
