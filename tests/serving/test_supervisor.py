"""The parent alone, with children that do nothing but what a test needs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.serving.server import COMES_WITHIN_S, ROOT, eventually

SCRIPT = """
import os, signal, sys, time
from functools import partial
from pathlib import Path
from app.serving.supervising import REFUSED, Job, Supervisor

folder = Path(sys.argv[1])

def note(name, text):
    with (folder / name).open("a") as file:
        file.write(text + "\\n")

def sleep(name):
    def end(*_):
        time.sleep(0.3 * (name == "sleep"))  # whoever does not wait for it is told first
        note("ends", name)
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    note("begins", name)
    while True:
        time.sleep(60)

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("begins", "stubborn")
    while True:
        time.sleep(60)

def refuse():
    note("begins", "refuse")
    os._exit(REFUSED)

def fall():
    note("begins", "fall")
    os._exit(3)

KINDS = {"sleep": partial(sleep, "sleep"), "last": partial(sleep, "last"),
         "stubborn": stubborn, "refuse": refuse, "fall": fall}
jobs = [Job(name, KINDS[name], order=int(name == "last")) for name in sys.argv[2:]]
sys.exit(Supervisor(jobs).run(lambda: note("ends", "before")))
"""


def start(folder: Path, *jobs: str) -> subprocess.Popen[bytes]:
    """A parent with these children."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), *jobs], cwd=ROOT, stderr=subprocess.DEVNULL
    )


def lines(folder: Path, name: str) -> list[str]:
    """What children noted so far."""
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def test_children_end_in_their_order(tmp_path: Path) -> None:
    """What they share is let go of first, the follower is told last."""
    parent = start(tmp_path, "last", "sleep", "sleep")
    eventually(lambda: len(lines(tmp_path, "begins")) == 3)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(COMES_WITHIN_S) == 0
    assert lines(tmp_path, "ends") == ["before", "sleep", "sleep", "last"]


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """A child that does not listen is killed when somebody insists."""
    parent = start(tmp_path, "stubborn")
    eventually(lambda: lines(tmp_path, "begins"))
    parent.send_signal(signal.SIGTERM)
    eventually(lambda: lines(tmp_path, "ends") == ["before"])
    parent.send_signal(signal.SIGINT)
    assert parent.wait(COMES_WITHIN_S) == 0


def test_a_child_that_refuses_ends_all(tmp_path: Path) -> None:
    """What cannot run is not tried again and again, and the exit code says so."""
    parent = start(tmp_path, "sleep", "refuse")
    assert parent.wait(COMES_WITHIN_S) == 78
    assert lines(tmp_path, "begins").count("refuse") == 1


def test_a_child_that_falls_is_started_again(tmp_path: Path) -> None:
    """Again and again, with longer pauses, while the others go on."""
    parent = start(tmp_path, "sleep", "fall")
    eventually(lambda: lines(tmp_path, "begins").count("fall") >= 3)
    assert lines(tmp_path, "begins").count("sleep") == 1
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(COMES_WITHIN_S) == 0
