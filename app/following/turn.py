"""Whose turn it is, of all machines on one database, to make work and mails out of the log.

Every machine follows the log for views of its own. What they share is moved on by one statement
that only one of them can win, so several are correct; but each would decode every event, and the
losers throw away what they made. So one at a time has the turn: a lock of its session, which
PostgreSQL takes back when its connection ends, however that ends. Two that both believe to have it,
for a moment in a change of leaders, do no harm.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

import psycopg

from app.patience import PatientConnection
from app.stores.rows import lock_number

ASK_S: Final = 1.0
"""How often the database is asked whether the turn is still, or now, ours."""

ANSWERS_WITHIN_S: Final = 3

_logger = logging.getLogger(__name__)


class FollowTurn:
    """The turn on one log; without a database it is always ours. Any thread may ask."""

    def __init__(self, database_url: str, log_id: str) -> None:
        self._url = database_url
        self._number = lock_number(f"tributary follow {log_id}")
        self._asking = threading.Lock()
        self._connection: PatientConnection | None = None
        self._is_ours = not database_url
        self._asked_at = -ASK_S

    def is_ours(self) -> bool:
        """Whether work and mails are to be made here."""
        if not self._url:
            return True
        with self._asking:
            if time.monotonic() - self._asked_at >= ASK_S:
                before = self._is_ours
                self._is_ours = self._ask()
                self._asked_at = time.monotonic()
                if self._is_ours and not before:
                    _logger.info("work and mails are made of the log here from now on")
            return self._is_ours

    def _ask(self) -> bool:
        try:
            if self._connection is None:
                self._connection = PatientConnection.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=ANSWERS_WITHIN_S,
                    application_name="tributary-follow-turn",
                )
            with self._connection.waiting(ANSWERS_WITHIN_S):
                # Asked for what is ours already, too: an answer tells that the session lives.
                held = "SELECT %s OR pg_try_advisory_lock(%s)"
                row = self._connection.execute(held, (self._is_ours, self._number)).fetchone()
            return row is not None and bool(row[0])
        except psycopg.Error as fault:
            # In the driver's words may stand the address with its password.
            _logger.warning("nobody can say whose turn it is: %s", type(fault).__name__)
            self._drop()
            return False

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Let another machine have it."""
        with self._asking:
            self._is_ours = not self._url
            self._drop()
