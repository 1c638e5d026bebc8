"""The audit beside a server that goes on writing."""

from __future__ import annotations

import threading
from typing import Self

from app.audit.replay import replay
from app.audit.verify import verify
from projections.runner import Follower
from projections.views import Views
from tests.audit.world import World

ROUNDS = 8
"""How often the audit looks, each time with more in the log."""


class Charging:
    """Charges one pledge after another, as a server does it, and keeps the views level."""

    def __init__(self, world: World, campaign_id: str) -> None:
        self._world = world
        self._campaign_id = campaign_id
        self._views = Views(world.settings.views_path)
        self._follower = Follower(world.log.read, self._views, log_id=world.log.log_id)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.fault: Exception | None = None
        self.charged = 0

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._world.pledge(self._campaign_id, 5_000)
                self.charged += 1
                self._world.collect(self._campaign_id, self.charged, 5_000)
                self._follower.step()
        except Exception as fault:  # noqa: BLE001 - told by the test's own thread
            self.fault = fault

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._views.current().close_sync()


def test_charges_under_way_are_no_violations(world: World) -> None:
    """Whenever the audit looks, what the bank and our books have is equal but for what is in
    flight.
    """
    campaign_id = world.launch(collect_at_pledge=True)
    paths = (world.log_place, world.settings.test_bank_path)
    seen: set[int] = set()
    with Charging(world, campaign_id) as charging:
        while len(seen) < ROUNDS and charging.fault is None:
            found, _ = verify(*paths)
            assert found.violations == []
            seen.add(found.events)
    assert charging.fault is None


def test_a_replay_beside_a_server_is_identical(world: World) -> None:
    """Views that move on meanwhile are compared as of where their copy stands."""
    campaign_id = world.launch(collect_at_pledge=True)
    world.project()
    seen: set[int] = set()
    with Charging(world, campaign_id) as charging:
        while len(seen) < ROUNDS and charging.fault is None:
            found, _ = replay(world.log_place, world.settings.views_path)
            assert found.differences == []
            seen.add(found.events)
    assert charging.fault is None
