"""Two histories from one key: a witness cosigns one of them, whatever happens to it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transparency.checkpoint import open_checkpoint
from app.transparency.merkle import (
    MemoryTiles,
    consistency_proof,
    root_at,
    verify_consistency,
)
from app.witness.store import WitnessStore, WitnessStoreError
from app.witness.witness import RefusedError
from tests.transparency.merkle_trees import LOG, ORIGIN
from tests.witness.logs import MOST, check_line, history, open_witness, request

ROOT = Path(__file__).parents[2]
Cosigned = set[tuple[int, bytes]]

forks = st.tuples(st.integers(0, 60), st.integers(0, 3))
steps = st.lists(
    st.tuples(
        forks,
        st.integers(0, 70),
        st.integers(0, 70) | st.none(),
        st.booleans(),
    ),
    max_size=25,
)


def assert_one_history(cosigned: Cosigned) -> None:
    """Of one size there is one root; the property holds over all sizes by `assert_joined`."""
    assert len({size for size, _ in cosigned}) == len(cosigned)


def assert_joined(cosigned: list[tuple[int, MemoryTiles]]) -> None:
    """Each tree that was cosigned begins with the one before, by its very leaves."""
    for (old, before), (size, after) in pairwise(cosigned):
        assert old <= size
        verify_consistency(
            *(old, size, root_at(before, old), root_at(after, size)),
            consistency_proof(after, old, size),
        )


@given(steps)
def test_no_order_of_forks_and_restarts_gets_two_histories(
    plan: list[tuple[tuple[int, int], int, int | None, bool]],
) -> None:
    """Random forks at random sizes with right and wrong old sizes, the witness started anew
    between: what was cosigned is one history, and honest growth is never refused.
    """
    with tempfile.TemporaryDirectory() as folder:
        witness = open_witness(Path(folder))
        cosigned: list[tuple[int, MemoryTiles]] = []
        for (fork_at, number), size, guess, again in plan:
            if again:
                witness = open_witness(Path(folder))
            tiles = history(fork_at, number)
            last = cosigned[-1][0] if cosigned else 0
            old = last if guess is None else guess
            joins = not cosigned or root_at(tiles, last) == root_at(cosigned[-1][1], last)
            try:
                line = witness.add(request(tiles, old, size))
            except RefusedError:
                line = ""
            assert bool(line) == (joins and old == last <= size)
            if line:
                check_line(tiles, size, line)
                cosigned.append((size, tiles))
        assert_joined(cosigned)
        seen = witness.store.seen(ORIGIN)
        assert (seen.size if seen else None) == (cosigned[-1][0] if cosigned else None)


def race(folder: Path, number: int, rounds: int) -> Cosigned:
    """Press one history on the witness, always as if it had seen it; what it cosigned."""
    witness, chance, cosigned = open_witness(folder), random.Random(number), set()
    tiles = history(20, number)
    for _ in range(rounds):
        seen = witness.store.seen(ORIGIN)
        old = seen.size if seen else 0
        size = min(MOST, old + chance.randrange(4))
        try:
            check_line(tiles, size, witness.add(request(tiles, old, size)))
        except RefusedError:
            continue
        cosigned.add((size, root_at(tiles, size)))
    return cosigned


def race_in_process(folder: str, number: int, rounds: int, path: str) -> None:
    """The same in a process of its own."""
    lines = [
        f"{size} {b64encode(root).decode()}" for size, root in race(Path(folder), number, rounds)
    ]
    Path(path).write_text("\n".join(lines))


def test_threads_get_one_history(tmp_path: Path) -> None:
    """Six at once, two with the same history."""
    open_witness(tmp_path)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda n: race(tmp_path, n // 2, 60), range(6)))
    cosigned: Cosigned = set().union(*results)
    assert len(cosigned) > 20
    assert_one_history(cosigned)
    winners = {n // 2 for n, found in enumerate(results) if any(size > 20 for size, _ in found)}
    assert len(winners) == 1


def test_processes_get_one_history(tmp_path: Path) -> None:
    """Three on one file, which is all they share."""
    context = multiprocessing.get_context("spawn")
    children = [
        context.Process(
            target=race_in_process, args=(str(tmp_path), n, 60, str(tmp_path / f"out-{n}"))
        )
        for n in range(3)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode == 0
    cosigned, winners = set(), set()
    for n in range(3):
        for line in (tmp_path / f"out-{n}").read_text().splitlines():
            size, root = line.split()
            cosigned.add((int(size), root))
            if int(size) > 20:
                winners.add(n)
    assert len(winners) == 1
    assert len({size for size, _ in cosigned}) == len(cosigned)


GROWING = """
import sys
from pathlib import Path
from tests.witness.logs import MOST, history, open_witness, request
from tests.transparency.merkle_trees import ORIGIN
witness = open_witness(Path(sys.argv[1]))
tiles = history()
while True:
    seen = witness.store.seen(ORIGIN)
    old = seen.size if seen else 0
    line = witness.add(request(tiles, old, min(old + 1, MOST)))
    sys.stdout.write(f"{min(old + 1, MOST)}\\n")
    sys.stdout.flush()
"""


@pytest.mark.slow
def test_a_killed_witness_forgets_nothing(tmp_path: Path) -> None:
    """Killed at any moment, five times: what it answered it still knows, and no fork gets in."""
    answered = 0
    for number in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", GROWING, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        for _ in range(10):
            answered = int(child.stdout.readline())
        time.sleep(0.003 * number)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().splitlines()
        child.stdout.close()
        child.wait()
        answered = int(rest[-1]) if rest and rest[-1] else answered
        witness = open_witness(tmp_path)
        seen = witness.store.seen(ORIGIN)
        assert seen is not None
        assert answered <= seen.size <= answered + 1
        assert open_checkpoint(seen.note, LOG.verifier).checkpoint.size == seen.size
        fork = history(seen.size - 1, 9)
        for size in (seen.size, seen.size + 5):
            with pytest.raises(RefusedError):
                witness.add(request(fork, seen.size, size))


def test_the_file_itself_goes_neither_back_nor_away(tmp_path: Path) -> None:
    """Whoever opens it by hand is stopped once before the witness forgets."""
    open_witness(tmp_path).add(request(history(), 0, 10))
    connection = sqlite3.connect(tmp_path / "witness.db", isolation_level=None)
    try:
        for statement in (
            "DELETE FROM logs",
            "UPDATE logs SET size = 9",
            "UPDATE logs SET root = zeroblob(32)",
            "UPDATE logs SET origin = 'else'",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)
        connection.execute("PRAGMA user_version = 99")
    finally:
        connection.close()
    with pytest.raises(WitnessStoreError, match="newer version"):
        WitnessStore(tmp_path / "witness.db")


def test_what_is_answered_is_on_disk(tmp_path: Path) -> None:
    """Every connection writes through: a lost machine is no excuse."""
    store = WitnessStore(tmp_path / "witness.db")
    with store._connected() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
