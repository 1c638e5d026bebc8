"""Pledges by API, one and many."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from tests.api.running import Caller, Json, Running, new_id, pledge


async def test_a_pledge_is_made_once(running: Running, staff: Caller) -> None:
    """The first time it is 201, again it is 200 with the same body, and the log has it once."""
    (backer,) = await running.backers(1)
    campaign_id = (await running.launched(staff))["campaign_id"]
    body = pledge(backer_id=backer)
    first = await running.post(f"/campaigns/{campaign_id}/pledges", staff, body)
    again = await running.post(f"/campaigns/{campaign_id}/pledges", staff, body)
    position, _ = running.platform.log.last()
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json() == {
        "pledge_id": body["pledge_id"],
        "no": 1,
        "position": position,
        "campaign_id": campaign_id,
        "state": "made",
    }
    assert first.headers["tributary-position"] == str(position)


async def test_another_pledge_under_the_same_id_is_refused(running: Running, staff: Caller) -> None:
    """The same id with another amount is a conflict, and changes nothing."""
    (backer,) = await running.backers(1)
    at = f"/campaigns/{(await running.launched(staff))['campaign_id']}/pledges"
    body = pledge(backer_id=backer)
    await running.post(at, staff, body)
    refused = await running.post(at, staff, body | {"amount": 6_000})
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json() == {
        "type": "/problems/pledge-id-reused",
        "title": "Pledge id reused",
        "status": 409,
        "detail": "The pledge id was used before with other content.",
        "reason": "pledge_id_reused",
    }


async def test_the_last_item_is_sold_once(running: Running, staff: Caller) -> None:
    """Of eight who want it at once one gets it, and the others are told that it is sold out."""
    submitted = await running.launched(staff)
    at = f"/campaigns/{submitted['campaign_id']}/pledges"
    last = {"reward_id": submitted["reward_ids"][1], "amount": 36_000}
    backers = await running.backers(8)
    answers = await asyncio.gather(
        *(running.post(at, staff, pledge(backer_id=backer, **last)) for backer in backers)
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    reasons = {answer.json().get("reason") for answer in answers if answer.status_code == 409}
    assert reasons == {"sold_out"}


async def test_shipping_is_part_of_the_amount(running: Running, staff: Caller) -> None:
    """A reward that is sent costs its shipping, too, and goes only where it is sent."""
    submitted = await running.launched(staff)
    at = f"/campaigns/{submitted['campaign_id']}/pledges"
    (backer,) = await running.backers(1)
    poster = {"backer_id": backer, "reward_id": submitted["reward_ids"][0]}
    short = await running.post(at, staff, pledge(**poster, amount=12_000, destination="CN"))
    assert (short.status_code, short.json()["reason"]) == (422, "amount_too_small")
    far = await running.post(at, staff, pledge(**poster, amount=99_000, destination="BR"))
    assert (far.status_code, far.json()["reason"]) == (422, "not_shipped_there")
    fine = await running.post(at, staff, pledge(**poster, amount=13_200, destination="CN"))
    assert fine.status_code == 201


async def test_the_currency_may_be_left_out_but_not_another(
    running: Running, staff: Caller
) -> None:
    """An amount is in the campaign's currency; who names another has misunderstood something."""
    at = f"/campaigns/{(await running.launched(staff))['campaign_id']}/pledges"
    (backer,) = await running.backers(1)
    named = await running.post(at, staff, pledge(backer_id=backer, currency="CNY"))
    assert named.status_code == 201
    other = await running.post(at, staff, pledge(backer_id=backer, currency="EUR"))
    assert (other.status_code, other.json()["reason"]) == (422, "currency_mismatch")


async def test_a_campaign_that_is_not_there(running: Running, staff: Caller) -> None:
    """An unknown campaign is 404, and nothing is written for it."""
    (backer,) = await running.backers(1)
    at = f"/campaigns/{new_id()}/pledges"
    refused = await running.post(at, staff, pledge(backer_id=backer))
    assert (refused.status_code, refused.json()["reason"]) == (404, "campaign_unknown")
    assert running.platform.log.last() == (0, 0)


# --- Batches -------------------------------------------------------------------------------------


async def batch(running: Running, caller: Caller, lines: list[bytes]) -> httpx.Response:
    """Post lines as one batch."""
    return await running.client.post(
        "/api/v1/pledges/batch", content=b"\n".join(lines), headers=caller.headers
    )


def outcomes(answer: httpx.Response) -> list[dict[str, Any]]:
    """The outcome of each line."""
    return [json.loads(line) for line in answer.content.splitlines()]


def line(campaign_id: str, backer: str, **changes: Json) -> bytes:
    """A line of a batch."""
    return json.dumps(pledge(campaign_id=campaign_id, backer_id=backer, **changes)).encode()


async def test_a_batch_answers_line_by_line(running: Running, staff: Caller) -> None:
    """Good lines are made in their order, and every bad one fails alone, in its place."""
    campaign_id = (await running.launched(staff))["campaign_id"]
    (backer,) = await running.backers(1)
    good = line(campaign_id, backer)
    lines = [
        line(campaign_id, backer),
        b"{broken",
        good,
        b"",
        line(campaign_id, backer, amount="5000"),
        line(campaign_id, backer, unknown=1),
        line(new_id(), backer),
        line(campaign_id, ""),
        b"[" * 100_000,
        b'{"pledge_id": "\xff"}',
        good,
        line(campaign_id, backer),
    ]
    answer = await batch(running, staff, [*lines, b""])
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    said = outcomes(answer)
    assert [outcome["line"] for outcome in said] == list(range(1, 13))
    assert [outcome["status"] for outcome in said] == [
        *(201, 422, 201, 422, 422, 422, 404, 422, 422, 422, 200, 201),
    ]
    made = [outcome for outcome in said if outcome["status"] in (200, 201)]
    assert [outcome["no"] for outcome in made] == [1, 2, 2, 3]
    assert made[1] | {"line": 0, "status": 0} == made[2] | {"line": 0, "status": 0}
    assert said[6]["type"] == "/problems/campaign-unknown"


async def test_an_empty_batch_is_an_empty_answer(running: Running, staff: Caller) -> None:
    """Nothing asked, nothing done."""
    answer = await batch(running, staff, [])
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_batch_holds_ten_thousand_lines(running: Running, staff: Caller) -> None:
    """Exactly ten thousand are taken; one more and nothing is done."""
    campaign_id = (await running.launched(staff))["campaign_id"]
    (backer,) = await running.backers(1)
    position, _ = running.platform.log.last()
    lines = [line(campaign_id, backer, amount=1) for _ in range(10_001)]
    refused = await batch(running, staff, lines)
    assert (refused.status_code, refused.json()["reason"]) == (413, "too_large")
    assert running.platform.log.last()[0] == position
    taken = await batch(running, staff, lines[:10_000])
    assert {outcome["status"] for outcome in outcomes(taken)} == {201}
    assert running.platform.log.last()[0] == position + 10_000


async def test_a_batch_has_a_size(running: Running, staff: Caller) -> None:
    """More bytes than a batch may have are refused, however few the lines."""
    answer = await batch(running, staff, [b"x" * (8 * 2**20 + 1)])
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
