"""The audit needs the log and the rules; no server, and nothing that one is made of."""

from __future__ import annotations

import subprocess
import sys

from tests.audit.world import World

SERVERS = ("litestar", "uvicorn", "jinja2", "httpx")


def test_no_web_framework_is_loaded() -> None:
    """Every part of the audit is there without any part of a web server."""
    parts = "commands, verify, reconcile, replay, live_views, show, explain"
    program = f"import sys; from app.audit import {parts}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "app.audit.verify" in loaded
    assert {module.partition(".")[0] for module in loaded}.isdisjoint(SERVERS)


def test_from_outside_nothing_of_ours_is_needed() -> None:
    """The audit from outside knows neither our databases nor the engine nor the settings."""
    parts = "public, public_command, public_mirror, public_source, public_wording"
    program = f"import sys; from app.audit import {parts}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "app.audit.public" in loaded
    ours = {"app.engine", "app.log", "app.settings", "app.stores", "app.wiring"}
    assert ours.isdisjoint(loaded)
    databases = {"sqlite3", "sqlalchemy", "psycopg", "eventsourcing"}
    assert {module.partition(".")[0] for module in loaded}.isdisjoint({*SERVERS, *databases})


def test_nothing_is_written(world: World) -> None:
    """The files of a data directory are, byte for byte, what they were before."""
    world.succeed(5_000, 6_000)
    world.project()
    world.close()
    kept = {
        path: path.read_bytes()
        for path in world.settings.data_dir.iterdir()
        if path.suffix == ".db"
    }
    for command in ("verify", "replay"):
        assert world.audit(command).exit_code == 0
    assert {path: path.read_bytes() for path in kept} == kept
