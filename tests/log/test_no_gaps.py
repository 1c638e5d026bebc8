"""Writers in many processes, followers in others: nothing is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import no_gaps


@pytest.mark.slow
def test_followers_see_every_event_once_and_in_order(database_url: str, log_path: Path) -> None:
    """Whatever is rolled back or delayed in between."""
    found = no_gaps.run(database_url, log_path, events=20_000, writers=8)
    assert found.faults == []
    assert found.events == 20_000
    assert found.rolled_back > 0


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("plant", ["sequence", "one-statement"])
def test_a_planted_bug_is_found(postgres_url: str, log_path: Path, plant: no_gaps.Plant) -> None:
    """So that the test above means something."""
    found = no_gaps.run(postgres_url, log_path, events=500, writers=4, plant=plant)
    assert not found.ok
    assert any("position" in fault for fault in found.faults)
