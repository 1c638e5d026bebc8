"""A PostgreSQL server whose disk is full: a clear word, nothing lost, well again afterwards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engine import NotCommitted, Outcome
from app.log import migrate_log
from ops.processes import postgresql_programs
from tests.engine.tally import Bench, count
from tests.own_postgres import own_server

DISK_MIB = 160
LEFT_MIB = 2
MIB = 2**20
pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for a server; only root can make one."""
    if postgresql_programs() is None:
        pytest.skip("no PostgreSQL server programs in /usr/lib/postgresql or PATH")
    disk = tmp_path / "disk"
    disk.mkdir()
    size = f"size={DISK_MIB}m"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no small disk can be made here: {made.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    """What was answered is there, the rest was told as not recorded; with room it goes on."""
    filler = small_disk / "filler"
    with own_server(small_disk) as url:
        migrate_log(url)
        bench = Bench(tmp_path, url)
        try:
            with bench.engine() as engine:
                engine.submit(count())
                usage = os.statvfs(small_disk)
                free = usage.f_bavail * usage.f_frsize
                filler.write_bytes(bytes(free - LEFT_MIB * MIB))
                recorded, refused = 1, None
                while refused is None:
                    commands = [count(name=os.urandom(2_000).hex()) for _ in range(100)]
                    for result in engine.submit_many(commands):
                        if isinstance(result, Outcome):
                            recorded += 1
                        else:
                            refused = result
                assert isinstance(refused, NotCommitted), refused
                assert "No space left on device" in str(refused)
                assert len(bench.versions("a")) == recorded
                filler.unlink()
                engine.submit(count())
                assert bench.versions("a") == list(range(1, recorded + 2))
        finally:
            bench.close()
