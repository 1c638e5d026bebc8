"""Cases drawn from the OpenAPI document: nothing breaks, and nothing undocumented is answered.

`make fuzz` does the same twenty thousand times.
"""

from __future__ import annotations

from itertools import cycle

import pytest

from bench.api_cases import Cases, operations
from tests.api.populating import peopled
from tests.api.running import Running

pytestmark = pytest.mark.filterwarnings("ignore")
"""Schemathesis and what it leans on warn of things of their own."""

CASES_OF_EACH = 4


def test_every_operation_answers_as_documented(running: Running) -> None:
    """Well-formed and malformed requests, with the operator's key and another role's in turn, are
    answered with a documented status, type and content.
    """
    world = running.loop.run_until_complete(peopled(running))
    cases = Cases(world, running.loop)
    others = cycle(name for name in world.keys if name != "operator")
    for number, operation in enumerate(operations()):
        for name in ("operator", next(others)):
            cases.run(operation, (name, world.keys[name]), CASES_OF_EACH, number)
    assert sum(cases.statuses.values()) > 400
    assert not [status for _, status in cases.statuses if status >= 500]
