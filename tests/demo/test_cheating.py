"""Try to cheat: every way is found by who can find it, and the books themselves are only read."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from app.demo import cheating
from app.demo.cheating import cheat
from app.demo.clock import DemoClock
from app.demo.forging import WAYS, CannotForgeError, Way
from app.demo.trial import Kept, Trial, try_to_cheat
from app.settings import Settings, load_settings
from app.web.demo.cheating import kept_outside, marked, watches
from app.wiring import open_platform
from tests.audit.world import World
from tests.demo.conftest import Seeded

UNSEEN_BY_RULES = {"raise", "swap"}
"""What breaks no rule where it is done with care."""


@pytest.fixture(scope="module")
def kept(seeded: Seeded) -> Kept:
    """A checkpoint of the whole demo that somebody outside kept."""
    return asyncio.run(_kept(seeded.settings))


async def _kept(settings: Settings) -> Kept:
    async with open_platform(settings, clock=DemoClock()) as platform:
        platform.follower.catch_up()
        platform.transparency.catch_up()
        return kept_outside(platform)


@pytest.fixture(scope="module")
def trials(seeded: Seeded, kept: Kept) -> dict[tuple[Way, bool], Trial]:
    """Every way, plainly and covered up; the original is audited once, as nothing changes it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cheating, "_original", cache(cheating._original))
        return {
            (way, signed): cheat(seeded.settings, way, kept, signed=signed)
            for way in WAYS
            for signed in (False, True)
        }


def contents(settings: Settings) -> dict[str, str]:
    """What stands in the files that a trial copies, row by row."""
    found = {}
    for path in (settings.log_path, settings.transparency_path, settings.test_bank_path):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
            text = "\n".join(file.iterdump())
        found[path.name] = hashlib.sha256(text.encode()).hexdigest()
    return found


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_found(
    trials: dict[tuple[Way, bool], Trial], way: Way, *, signed: bool
) -> None:
    """Whatever it is and however well it is covered up; and the original is in order."""
    trial = trials[way, signed]
    assert trial.on_copy.kinds
    assert trial.original.clean
    assert trial.original.identical
    rules, bank, leaves, outside = watches(trial)
    if signed:
        assert outside.noticed
        assert not leaves.noticed
        assert bool(rules.noticed) == (way == "divert")
    else:
        assert leaves.noticed
        assert not outside.noticed
        assert bool(rules.noticed) == (way != "raise")
    assert bool(bank.noticed) == (way in {"refund", "divert"})


@pytest.mark.parametrize("way", WAYS)
def test_the_place_is_named(trials: dict[tuple[Way, bool], Trial], way: Way) -> None:
    """Found in the leaves, or by who kept them: exactly where the forger was."""
    plain, signed = trials[way, False], trials[way, True]
    first = plain.on_copy.forgery.edits[0].position
    assert first in {
        finding.position for finding in plain.on_copy.findings if finding.kind == "leaf"
    }
    assert signed.on_copy.first == signed.on_copy.forgery.edits[0].position


def test_the_books_are_only_read(seeded: Seeded, kept: Kept) -> None:
    """Not a row of the real files changes, and no copy is left."""
    before = contents(seeded.settings)
    there = {path.name for path in seeded.settings.data_dir.iterdir()}
    cheat(seeded.settings, "refund", kept, signed=True)
    assert contents(seeded.settings) == before
    left = {path.name for path in seeded.settings.data_dir.iterdir()} - there
    assert not {name for name in left if not name.endswith(("-shm", "-wal"))}


def test_without_a_checkpoint_a_good_forger_may_win(seeded: Seeded) -> None:
    """What nobody outside can contradict, nobody inside can prove: so it is told honestly."""
    trial = cheat(seeded.settings, "raise", Kept(), signed=True)
    assert trial.on_copy.kinds == {}
    assert watches(trial)[3].noticed is None


async def test_it_runs_in_a_process_of_its_own(seeded: Seeded, kept: Kept) -> None:
    """As the page asks for it; what comes back is the whole trial."""
    trial = await try_to_cheat(seeded.settings, "swap", kept, signed=True)
    assert trial.way == "swap"
    assert trial.on_copy.kinds == {"fork": 1}
    assert trial.original.identical


async def test_nothing_to_forge(tmp_path: Path) -> None:
    """An empty log is told apart from a fault."""
    settings = load_settings({}, data_dir=tmp_path, demo=True)
    World(tmp_path).close()
    async with open_platform(settings, clock=DemoClock()):
        pass
    with pytest.raises(CannotForgeError):
        await try_to_cheat(settings, "raise", Kept(), signed=False)


def test_what_changed_is_marked(trials: dict[tuple[Way, bool], Trial]) -> None:
    """The pieces make the bytes before and after, and the change is small."""
    (edit,) = trials["raise", False].on_copy.forgery.edits
    pieces = list(marked(edit))
    assert "".join(text for kind, text in pieces if kind != "come") == edit.before
    assert "".join(text for kind, text in pieces if kind != "gone") == edit.after
    forgery = trials["raise", False].on_copy.forgery
    gone = [text for kind, text in pieces if kind == "gone"]
    assert gone == [str(forgery.was_minor)]
