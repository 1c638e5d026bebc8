"""The operator erases somebody while a server runs."""

from __future__ import annotations

import msgspec
import pytest

from app.erasing import FILE
from app.log.opening import open_log
from bench.crash_stage import Stage
from domain.subject import SUBJECT
from tests.serving.conftest import serving
from tests.serving.server import eventually, run


@pytest.mark.slow
def test_a_person_is_erased_beside_a_running_server(either_stage: Stage) -> None:
    """Another process with an engine of its own; the server goes on, and follows what it wrote."""
    with serving(either_stage) as served:
        first = served.pledge()
        backer = either_stage.backers[0].id
        said = run(served.stage, "people", "erase", backer, "--yes")
        assert said.endswith("exit 0"), said
        assert "The server takes the last traces" in said
        assert served.pledge()["no"] > first["no"]
        listed = run(served.stage, "--json", "people", "erased")
        assert backer in listed
        log = open_log(served.stage.settings.database_url, served.stage.settings.log_path)
        place = log.position_of(SUBJECT + backer, 1)
        log.close()
        assert place is not None
        erased = msgspec.json.decode((served.stage.settings.keys_dir / FILE).read_bytes())
        assert [entry["position"] for entry in erased["erased"]] == [place]
        eventually(served.ready)
        assert served.stop() == 0
    verified = run(either_stage, "audit", "verify")
    assert verified.endswith("exit 0"), verified
