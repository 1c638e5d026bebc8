"""What can be said of the log without reading its bodies, and of its events taken together."""

from __future__ import annotations

import sqlite3
from typing import Final

from app.audit.findings import Findings
from app.audit.reader import AuditLog

_PLACES: Final = "SELECT position, at FROM events WHERE position <= ? ORDER BY position"

_STREAM_AT: Final = """
    SELECT name FROM streams WHERE id = (SELECT stream FROM events WHERE position = ?)"""

_LOST_KEYS: Final = """
    SELECT hex(k.key), k.position, k.version, k.count, coalesce(s.name, '')
    FROM keys k
    LEFT JOIN streams s ON s.id = k.stream
    LEFT JOIN events f ON f.position = k.position
    LEFT JOIN events l ON l.position = k.position + k.count - 1
    WHERE s.name IS NULL
        OR k.count < 0
        OR (k.count > 0 AND (f.stream IS NOT k.stream OR f.version IS NOT k.version
            OR l.stream IS NOT k.stream OR l.version IS NOT k.version + k.count - 1))
        OR (k.count = 0 AND k.position > 0 AND f.position IS NULL)"""

_USED_TWICE: Final = """
    SELECT pledge_id, max(position), stream, count(*) FROM pledge_ids
    GROUP BY pledge_id HAVING count(*) > 1 ORDER BY max(position)"""


def check_order(log: AuditLog, up_to: int, findings: Findings) -> None:
    """Find positions that are missing, and times that run back (rule 10)."""
    before = at_before = 0
    for position, at in log.connection.execute(_PLACES, (up_to,)):
        if position != before + 1:
            sentence = f"Positions {before + 1:,} to {position - 1:,} are missing."
            findings.add("positions", sentence, position, _stream_at(log, position))
        if at < at_before:
            sentence = f"The log's time runs back from {at_before} to {at}."
            findings.add("rule 10", sentence, position, _stream_at(log, position))
        before, at_before = position, at


def _stream_at(log: AuditLog, position: int) -> str:
    found = log.connection.execute(_STREAM_AT, (position,)).fetchone()
    return "" if found is None else str(found[0])


def check_keys(log: AuditLog, findings: Findings) -> None:
    """Find idempotency keys that lead to no event, or to those of another stream."""
    for key, position, version, count, stream in log.connection.execute(_LOST_KEYS):
        sentence = (
            f"The idempotency key with the hash {key[:16].lower()}… leads to {count} events from"
            f" version {version}, which are not there."
        )
        findings.add("keys", sentence, position, stream)


def check_pledge_ids(gathered: sqlite3.Connection, findings: Findings) -> None:
    """Find pledge ids that were used more than once, in one campaign or in several (rule 4)."""
    for pledge_id, position, stream, count in gathered.execute(_USED_TWICE):
        sentence = f"The pledge id {pledge_id} is that of {count} pledges."
        findings.add("rule 4", sentence, position, stream)
