"""The pages of trying to cheat: one at a time, not too often, and never outside a demo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.demo.forging import CannotForgeError, Edit, Forgery, Way
from app.demo.trial import CheatError, Found, Kept, OnCopy, Original, Trial
from app.settings import Settings, load_settings
from app.web.demo import cheating
from app.web.demo.cheating import CHEAT, cheating_of, marked, watches
from app.wiring import open_platform
from tests.api.running import NOW, ORIGIN, Clock, Running, transport_to
from tests.web.browsing import Browser, words

PAGE = "/demo/cheat"


def trial(way: Way = "raise", **kinds: int) -> Trial:
    """A trial with these findings."""
    edit = Edit(7, "pledge.made.v1", '{"no":1,"amount_minor":500}', '{"no":1,"amount_minor":5000}')
    return Trial(
        way,
        signed=False,
        kept=Kept("a note", "a key", 9),
        on_copy=OnCopy(
            forgery=Forgery("x", "", "EUR", 500, 5_000, [edit]),
            events=9,
            touched=1,
            first=7,
            kinds=kinds,
            findings=[Found(kind, 7, "Word for word.") for kind in kinds],
            left_out=[],
        ),
        original=Original(position=9, at=NOW, clean=True, identical=True),
        seconds=2.5,
    )


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Running]:
    """An empty demo."""
    settings = load_settings({"TRIBUTARY_PUBLIC_URL": ORIGIN}, data_dir=tmp_path / "var", demo=True)
    clock = Clock()
    async with open_platform(settings, clock=clock) as platform:
        transport = transport_to(platform)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            yield Running(platform, client, clock)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Trial | Exception]:
    """What the next trials come to, the last one for all after it."""
    coming: list[Trial | Exception] = [trial(leaf=1)]

    async def try_to_cheat(_: Settings, __: Way, ___: Kept, *, signed: bool) -> Trial:
        assert not signed
        found = coming.pop(0) if len(coming) > 1 else coming[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(cheating, "try_to_cheat", try_to_cheat)
    return coming


async def cheat(browser: Browser, way: str = "raise") -> httpx.Response:
    """Fill the form in and send it."""
    answer = await browser.submit(await browser.get(PAGE), PAGE, way=way, signed="no")
    if answer.status_code == 303:
        return await browser.get(answer.headers["location"])
    return answer


async def test_what_came_of_it_is_shown(demo: Running, answers: list[Trial | Exception]) -> None:
    """Who noticed, what changed, the audit's words, and the seal of the original."""
    answer = await cheat(Browser(demo))
    said = words(answer)
    assert "Caught." in said
    assert "A pledge of €5 became one of €50." in said
    assert "Leaf · position 7" in said
    assert "Word for word." in said
    assert "<del>500</del><ins>5000</ins>" in answer.text
    assert "Books verified 12 March 2026, 12:00 UTC, position 9" in said


async def test_a_cheat_that_nobody_finds_is_told_honestly(
    demo: Running, answers: list[Trial | Exception]
) -> None:
    """Nothing is called caught that was not."""
    answers[:] = [trial()]
    assert "Not caught." in words(await cheat(Browser(demo)))


@pytest.mark.parametrize(
    ("fault", "status", "sentence"),
    [
        (CannotForgeError(), 409, "There is nothing in the books yet"),
        (CheatError("trace"), 500, "Nothing happened to the books; try again."),
    ],
)
async def test_what_hinders_is_said(
    demo: Running,
    answers: list[Trial | Exception],
    fault: Exception,
    status: int,
    sentence: str,
) -> None:
    """In words, without what is for the server's log."""
    answers[:] = [fault]
    answer = await cheat(Browser(demo))
    assert answer.status_code == status
    assert sentence in words(answer)
    assert "trace" not in answer.text


async def test_one_at_a_time(
    demo: Running, answers: list[Trial | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody cheats another one is asked to wait; after that it goes on."""
    monkeypatch.setattr(cheating, "PATIENCE_S", 0.01)
    async with cheating_of(demo.platform).turn:
        answer = await cheat(Browser(demo))
        assert answer.status_code == 503
        assert "Somebody else is cheating" in words(answer)
    assert (await cheat(Browser(demo))).status_code == 200


async def test_not_too_often(demo: Running, answers: list[Trial | Exception]) -> None:
    """From one place on the network so many times, and again after a while."""
    browser = Browser(demo)
    for _ in range(CHEAT.by_client):
        assert (await cheat(browser)).status_code == 200
    assert (await cheat(browser)).status_code == 429
    demo.clock.now += CHEAT.window_ms + 1
    assert (await cheat(browser)).status_code == 200


async def test_only_the_four_ways(demo: Running, answers: list[Trial | Exception]) -> None:
    """What is posted otherwise is no page, and neither is a trial that was never made."""
    assert (await cheat(Browser(demo), way="--help")).status_code == 404
    assert (await demo.client.get(f"{PAGE}/never")).status_code == 404


async def test_only_from_our_own_page(demo: Running, answers: list[Trial | Exception]) -> None:
    """Another site cannot have a visitor cheat."""
    answer = await Browser(demo).post(PAGE, {"way": "raise", "form_token": "x"})
    assert answer.status_code == 403


def test_who_could_not_look_is_told_apart() -> None:
    """Nobody kept a checkpoint is not the same as that it saw nothing."""
    kept = trial(leaf=1)
    assert [watch.noticed for watch in watches(kept)] == [0, 0, 1, 0]
    forgotten = Trial(kept.way, kept.signed, Kept(), kept.on_copy, kept.original, kept.seconds)
    assert [watch.noticed for watch in watches(forgotten)] == [0, 0, 1, None]


def test_a_deleted_event_is_marked_whole() -> None:
    """All of it is gone, nothing came."""
    assert list(marked(Edit(1, "x", '{"a":1}', ""))) == [("gone", '{"a":1}')]
