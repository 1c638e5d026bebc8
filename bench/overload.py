"""What a server still does at twice the load that it can take, and what it refuses.

    .venv/bin/python -m bench.overload [--quick] [--json FILE]

Single pledges, each durable, to one web process (`bench.http_server`). First as many as it can
answer, over 64 connections; then twice that rate, whatever it answers, over so many connections
that it could collapse; then half of what it can, at once after that. What is refused has to be 503.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import uvloop

from bench.http_load import Load, Told, most_files
from bench.http_rate import CONNECTIONS, WARM_UP_S, Requests, Server, serving
from bench.results import RUNS, Result, arguments, publish

CROWD: Final = 2_048
"""Connections of the crowd: four times what the server lets in at once."""

EXPECTED: Final = frozenset({HTTPStatus.CREATED, HTTPStatus.SERVICE_UNAVAILABLE})


async def _rush(server: Server, requests: Requests, seconds: float) -> tuple[Told, Told, Told]:
    """The rate that it can take, what comes of twice that, and what of half of it afterwards.

    Raises SystemExit for an answer that is neither the pledge nor 503.
    """
    port, pids = server.port, server.pids
    most = await Load(port, requests.pledge, pids).closed(CONNECTIONS, seconds, WARM_UP_S)
    crowd = Load(port, requests.pledge, pids)
    double = await crowd.paced(CROWD, 2 * most.rate, seconds)
    after = await Load(port, requests.pledge, pids).paced(CONNECTIONS, most.rate / 2, seconds)
    for told in (most, double, after):
        if not set(told.statuses) <= EXPECTED:
            raise SystemExit(f"something else than 201 and 503 was answered: {told.statuses}")
    if crowd.lost_connections:
        raise SystemExit(f"the server hung up on {crowd.lost_connections} connections")
    return most, double, after


def measure(*, quick: bool) -> Iterator[Result]:
    """Rush on one server, again and again."""
    most_files()
    with serving(20) as server:
        requests = Requests(server)
        found = [
            uvloop.run(_rush(server, requests, 1.0 if quick else 3.0))
            for _ in range(1 if quick else RUNS)
        ]
    _, double, after = found[-1]
    yield Result(
        name="done at twice the load",
        unit="% of what it can do",
        runs=tuple(100 * double.rate / max(1, most.rate) for most, double, _ in found),
        ratio=f"{double.statuses.get(503, 0):,} of {double.answers:,} answers were 503",
        note=f"p99 of what was done {double.p99_ms:.0f} ms",
    )
    yield Result(
        name="done at half the load, right after that",
        unit="% of what was asked",
        runs=tuple(100 * after.done / max(1, after.answers) for _, _, after in found),
        note=f"p99 {after.p99_ms:.1f} ms",
    )


def main() -> None:
    """Measure and print."""
    asked = arguments(__doc__).parse_args()
    publish(measure(quick=asked.quick), asked, "overload")


if __name__ == "__main__":
    main()
