"""The PostgreSQL cluster: Tributary goes on after its leader has died, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.processes import belonging_to, postgresql_programs

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _server_programs() -> None:
    """A cluster makes its own servers: it needs their programs, and no server that runs."""
    if postgresql_programs() is None:
        reason = "no PostgreSQL server programs in /usr/lib/postgresql or PATH"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def cluster_kill(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the harness as a person would. Whatever becomes of it, nothing of it goes on."""
    try:
        return subprocess.run(
            [sys.executable, "-m", "bench.cluster_kill", "--data", directory, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        assert belonging_to(directory) == []


def test_what_was_acknowledged_survives_the_leader(tmp_path: Path) -> None:
    """The leader dies under load, with a turn that no standby has; the server finds the next."""
    done = cluster_kill(tmp_path / "cluster", "--kinds", "lagging")
    assert done.returncode == 0, done.stderr
    assert "lost or there twice, findings of `audit verify`: 0 " in done.stdout
    assert "no pledge acknowledged: lagging" in done.stdout


def test_a_loss_is_found(tmp_path: Path) -> None:
    """Without synchronous replication acknowledged pledges are gone, and the harness says so."""
    done = cluster_kill(tmp_path / "cluster", "--plant", "async")
    assert done.returncode == 1
    assert "was acknowledged" in done.stderr
