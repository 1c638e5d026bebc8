"""Several processes that write to one log."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from app.engine import Engine
from app.log import open_log
from tests.engine.tally import Bench, Clock, TallyDecider, count, only_outcomes

PROCESSES = 4
EACH = 300


def write(database_url: str, path: Path, process: int, now: int) -> None:
    """Count on one hot stream, and on one of its own, in small lists."""
    log = open_log(database_url, path)
    with Engine(log, None, TallyDecider(), clock=Clock(now)) as engine:
        for start in range(0, EACH, 6):
            hot = [count("hot", name=f"{process}-{start + n}") for n in range(5)]
            only_outcomes(engine.submit_many([*hot, count(f"own {process}")]))
    log.close()


@pytest.mark.slow
def test_four_processes_on_one_hot_stream(bench: Bench) -> None:
    """Versions are dense, positions have no gap, time stands or goes on."""
    context = multiprocessing.get_context("spawn")
    path = bench.directory / "log.db"
    writers = [
        # Their clocks differ, as clocks do.
        context.Process(target=write, args=(bench.database_url, path, n, 1_000 + 10 * n))
        for n in range(PROCESSES)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    rows = bench.log.read(0, 10_000)
    assert [row.position for row in rows] == list(range(1, PROCESSES * EACH + 1))
    assert bench.versions("hot") == list(range(1, PROCESSES * EACH * 5 // 6 + 1))
    for n in range(PROCESSES):
        assert bench.versions(f"own {n}") == list(range(1, EACH // 6 + 1))
    times = [row.at for row in rows]
    assert times == sorted(times)
    assert len({row.body for row in rows}) == len(rows)
