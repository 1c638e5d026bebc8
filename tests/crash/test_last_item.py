"""The last item of a reward, over HTTP."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.last_item import Figures

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_last_item_is_sold_once() -> None:
    """Of eight clients at once one gets the last item, and seven hear that it is sold out."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.last_item", "--rounds", "50", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    found = msgspec.json.decode(done.stdout, type=Figures)
    assert found.faults == []
    assert (found.rounds, found.winners, found.losers) == (50, 50, 350)
    assert (done.returncode, found.ok) == (0, True)
