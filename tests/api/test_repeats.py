"""One effect under one key, however many requests come at the same moment; waits that are true."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from app.stores.questions import DAY_MS, MOST_A_DAY
from app.stores.reports import HOUR_MS, MOST_AN_HOUR
from tests.api.populating import peopled
from tests.api.running import Caller, Json, Running

AT_ONCE = 5


async def _at_once(running: Running, path: str, caller: Caller, body: Json) -> list[httpx.Response]:
    keyed = Caller(caller.party, caller.headers | {"idempotency-key": "at once"})
    return list(await asyncio.gather(*(running.post(path, keyed, body) for _ in range(AT_ONCE))))


async def test_requests_at_the_same_moment_have_one_effect(running: Running) -> None:
    """Drafts, questions, answers, reports, settlements, keys: all answers alike, one effect."""
    world = await peopled(running)
    stores, keys = running.platform.stores, world.keys
    campaign_id = world.ids["campaign_id"][1]
    at = f"/campaigns/{campaign_id}"
    before = {
        "drafts": len(await stores.drafts.of_creator(keys["creator"].party)),
        "questions": len(await stores.questions.of_campaign(campaign_id)),
        "reports": len(await stores.reports.open(running.channel)),
        "keys": len(await stores.keys.of_owner(keys["creator"].party)),
    }
    settle = f"/reports/{world.ids['report_id'][0]}/settle"
    answer = f"{at}/questions/{world.ids['question_id'][0]}/answer"
    asked: tuple[tuple[str, Caller, Json], ...] = (
        ("/drafts", keys["creator"], {"channel": running.channel}),
        (f"{at}/questions", keys["backer"], {"body": "When does it begin?"}),
        (f"{at}/reports", keys["backer"], {"reason": "untrue"}),
        ("/keys", keys["creator"], {}),
        (settle, keys["staff"], {"outcome": "nothing_wrong"}),
        (answer, keys["creator"], {"body": "At eight."}),
        (f"{at}/feature", keys["staff"], None),
    )
    for path, caller, body in asked:
        answers = await _at_once(running, path, caller, body)
        said = [found.json() | {"token": None} for found in answers]
        assert all(found.is_success for found in answers), (path, answers[0].text)
        assert all(found == said[0] for found in said), path
    after = {
        "drafts": len(await stores.drafts.of_creator(keys["creator"].party)),
        "questions": len(await stores.questions.of_campaign(campaign_id)),
        "reports": len(await stores.reports.open(running.channel)),
        "keys": len(await stores.keys.of_owner(keys["creator"].party)),
    }
    # One report more and one settled.
    assert after == {name: count + (name != "reports") for name, count in before.items()}
    acts = Counter(act.act for act in await stores.staff_acts.of_channel(running.channel))
    assert acts == {"report_settled": 1, "campaign_featured": 1}


async def test_what_was_not_noted_as_done_is_done_once_more_alike(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the process ended between an effect and its note, a repetition finds the effect."""
    world = await peopled(running)
    monkeypatch.setattr(running.platform.stores.repeats, "knows", _never)
    backer = world.keys["backer"]
    keyed = Caller(backer.party, backer.headers | {"idempotency-key": "again"})
    at = f"/campaigns/{world.ids['campaign_id'][1]}"
    for path, body in (
        (f"{at}/questions", {"body": "When?"}),
        (f"{at}/reports", {"reason": "other"}),
    ):
        first, again = [await running.post(path, keyed, body) for _ in range(2)]
        assert first.json() == again.json(), path
    creator = world.keys["creator"]
    keyed = Caller(creator.party, creator.headers | {"idempotency-key": "again"})
    first, again = [
        await running.post("/drafts", keyed, {"channel": running.channel}) for _ in "12"
    ]
    assert first.json() == again.json()


async def _never(_: str) -> bool:
    return False


async def test_a_draft_thrown_away_does_not_come_back(running: Running) -> None:
    """A repetition of the request that began it finds nothing."""
    creator = await running.caller("creator")
    keyed = Caller(creator.party, creator.headers | {"idempotency-key": "mine"})
    draft_id = (await running.post("/drafts", keyed, {})).json()["draft_id"]
    await running.client.delete(
        f"/api/v1/drafts/{draft_id}", headers=creator.headers | {"if-match": '"r1"'}
    )
    assert (await running.post("/drafts", keyed, {})).status_code == 404


async def test_too_many_are_told_truly_how_long_to_wait(running: Running) -> None:
    """After the seconds of `Retry-After` it is taken, a second earlier it is not."""
    world = await peopled(running)
    backer = world.keys["backer"]
    at = f"/campaigns/{world.ids['campaign_id'][2]}"
    for path, body, most, window in (
        (f"{at}/reports", {"reason": "untrue"}, MOST_AN_HOUR, HOUR_MS),
        (f"{at}/questions", {"body": "How long?"}, MOST_A_DAY, DAY_MS),
    ):
        running.clock.now += DAY_MS
        for _ in range(most):
            assert (await running.post(path, backer, body)).status_code == 201
            running.clock.now += 60_000
        refused = await running.post(path, backer, body)
        assert (refused.status_code, refused.json()["reason"]) == (429, "rate_limited")
        wait_s = int(refused.headers["retry-after"])
        assert wait_s == (window - most * 60_000) // 1_000
        running.clock.now += (wait_s - 1) * 1_000
        assert (await running.post(path, backer, body)).status_code == 429
        running.clock.now += 1_000
        assert (await running.post(path, backer, body)).status_code == 201
