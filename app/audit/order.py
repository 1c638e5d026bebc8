"""What can be said of the log without reading its bodies, and of its events taken together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.audit.findings import LISTED, Findings
from app.audit.gathered import Gathered, read_pairs
from app.audit.reader import AuditLog
from app.audit.verification import read_body
from domain.events import PledgeMade

AT_ONCE: Final = 2_000_000
"""Positions, or pledge ids, that are looked at together; with what sorting takes, some 100 MB."""

_BODY: Final = "SELECT position, body FROM events WHERE position = ?"

_STREAM_AT: Final = """
    SELECT name FROM streams WHERE id = (SELECT stream FROM events WHERE position = ?)"""

_LOST_KEYS: Final = """
    SELECT {hex_of_key}, k.position, k.version, k.count, coalesce(s.name, '')
    FROM keys k
    LEFT JOIN streams s ON s.id = k.stream
    LEFT JOIN events f ON f.position = k.position
    LEFT JOIN events l ON l.position = k.position + k.count - 1
    WHERE (s.name IS NULL
        OR k.count < 0
        OR (k.count > 0 AND (f.stream {other} k.stream OR f.version {other} k.version
            OR l.stream {other} k.stream OR l.version {other} k.version + k.count - 1))
        OR (k.count = 0 AND k.position > 0 AND f.position IS NULL))
        AND (k.position <= ? OR ? = 0)
    ORDER BY k.position, k.key"""


# --- Positions and times -------------------------------------------------------------------------


def check_order(
    log: AuditLog, shares: Sequence[Gathered], up_to: int, findings: Findings
) -> list[tuple[int, int]]:
    """Find positions that are missing, and times that run back (rule 10).

    Returns the positions on both sides of the gaps, of the first thousand.
    """
    before = at_before = 0
    gaps: list[tuple[int, int]] = []
    for positions, times in _places(shares, up_to):
        earlier = np.concatenate(([before], positions[:-1]))
        times_before = np.concatenate(([at_before], times[:-1]))
        wrong = np.flatnonzero((positions != earlier + 1) | (times < times_before))
        for index in wrong.tolist():
            position, was = int(positions[index]), int(earlier[index])
            at, at_was = int(times[index]), int(times_before[index])
            stream = _stream_at(log, position)
            if position != was + 1:
                sentence = f"Positions {was + 1:,} to {position - 1:,} are missing."
                findings.add("positions", sentence, position, stream)
                if len(gaps) < LISTED:
                    gaps.append((was, position))
            if at < at_was:
                sentence = f"The log's time runs back from {at_was} to {at}."
                findings.add("rule 10", sentence, position, stream)
        before, at_before = int(positions[-1]), int(times[-1])
    return gaps


def _places(
    shares: Sequence[Gathered], up_to: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions and times of all shares in the order of positions, so many at once."""
    files = [read_pairs(share.times, np.int64) for share in shares]
    start = 0
    while start < up_to:
        ends = [int(np.searchsorted(pairs[:, 0], start, side="right")) for pairs in files]
        later = [
            int(pairs[end, 0]) for pairs, end in zip(files, ends, strict=True) if end < len(pairs)
        ]
        if not later:
            return
        start = max(start, min(later) - 1)  # a damaged position may lie far behind the others
        parts = []
        for pairs in files:
            first, last = np.searchsorted(pairs[:, 0], (start, start + AT_ONCE), side="right")
            parts.append(np.array(pairs[first:last]))
        start += AT_ONCE
        found = np.concatenate(parts)
        if len(found):
            found = found[np.argsort(found[:, 0], kind="stable")]
            yield found[:, 0], found[:, 1]


def _stream_at(log: AuditLog, position: int) -> str:
    found = log.source.rows(_STREAM_AT, position)
    return str(found[0][0]) if found else ""


# --- Keys ----------------------------------------------------------------------------------------


def check_keys(log: AuditLog, findings: Findings, up_to: int | None = None) -> None:
    """Find idempotency keys that lead to no event, or to those of another stream; those that lead
    beyond `up_to` are left out.
    """
    until, whole = (0, 0) if up_to is None else (up_to, 1)
    source = log.source
    statement = _LOST_KEYS.format(hex_of_key=source.hex_of_key, other=source.nothing_else)
    for key, position, version, count, stream in source.rows(statement, until, whole):
        sentence = (
            f"The idempotency key with the hash {key[:16].lower()}… leads to {count} events from"
            f" version {version}, which are not there."
        )
        findings.add("keys", sentence, position, stream)


# --- Pledge ids ----------------------------------------------------------------------------------


def check_pledge_ids(log: AuditLog, shares: Sequence[Gathered], findings: Findings) -> None:
    """Find pledge ids that were used more than once, in one campaign or in several (rule 4)."""
    found = []
    for suspects in _suspects(shares):
        for pledge_id, places in _by_id(log, suspects).items():
            if len(places) > 1:
                found.append((*max(places), pledge_id, len(places)))
    for position, stream, pledge_id, count in sorted(found):
        sentence = f"The pledge id {pledge_id} is that of {count} pledges."
        findings.add("rule 4", sentence, position, stream)


def _suspects(shares: Sequence[Gathered]) -> Iterator[list[int]]:
    """The positions of pledges whose ids have one number, some numbers at once: what is twice is
    among them.
    """
    files = [read_pairs(share.pledges, np.uint64) for share in shares]
    parts = max(1, -(-sum(map(len, files)) // AT_ONCE))
    for part in range(parts):
        found = np.concatenate([_part_of(pairs, part, parts) for pairs in files])
        if not len(found):
            continue
        found = found[np.argsort(found[:, 0], kind="stable")]
        same = found[1:, 0] == found[:-1, 0]
        twice = np.concatenate((same, [False])) | np.concatenate(([False], same))
        yield found[twice, 1].tolist()


def _part_of(pairs: NDArray[Any], part: int, parts: int) -> NDArray[Any]:
    chosen = [
        page[page[:, 0] % np.uint64(parts) == part]
        for start in range(0, len(pairs), AT_ONCE)
        for page in (pairs[start : start + AT_ONCE],)
    ]
    return np.concatenate(chosen) if chosen else np.empty((0, 2), dtype=np.uint64)


def _by_id(log: AuditLog, positions: list[int]) -> dict[str, list[tuple[int, str]]]:
    """The ids themselves, with the places and streams of the pledges at some positions."""
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for place in positions:
        for position, body in log.source.rows(_BODY, place):
            event = read_body(body)
            if type(event) is PledgeMade:
                found[event.pledge_id].append((position, event.stream))
    return found
