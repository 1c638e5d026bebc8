"""Drafts by API: written, checked, handed in."""

from __future__ import annotations

from typing import Any

from tests.api.running import NOW, Caller, Running


def whole() -> dict[str, Any]:
    """A draft that lacks nothing but a cover."""
    return {
        "title": "Film nights under the viaduct",
        "blurb": "Twelve evenings, one white wall.",
        "story": "A proper screen.",
        "risks": "Rain.",
        "category": "film",
        "currency": "CNY",
        "goal": "80,000",
        "deadline": "2026-04-11",
        "rewards": [
            {"title": "Poster", "price": "120", "shipping": [{"region": "CN", "fee": "12"}]}
        ],
    }


async def edit(
    running: Running, caller: Caller, draft_id: str, body: dict[str, Any], mark: str | None
) -> Any:  # noqa: ANN401 - an answer
    """Replace a draft in the version that a mark names."""
    headers = caller.headers | ({} if mark is None else {"if-match": mark})
    return await running.client.put(f"/api/v1/drafts/{draft_id}", json=body, headers=headers)


async def test_an_edit_names_the_version_it_means(running: Running) -> None:
    """Without a version 428, with one that is gone 412, with the present one it is done."""
    creator = await running.caller("creator")
    made = await running.post("/drafts", creator, {"draft": {"title": "First words"}})
    assert (made.status_code, made.headers["etag"]) == (201, '"r1"')
    draft_id = made.json()["draft_id"]
    assert made.json()["draft"]["currency"] == "CNY"
    none = await edit(running, creator, draft_id, whole(), None)
    assert (none.status_code, none.json()["reason"]) == (428, "precondition_required")
    done = await edit(running, creator, draft_id, whole(), '"r1"')
    assert (done.status_code, done.headers["etag"]) == (200, '"r2"')
    for mark in ('"r1"', '"other"', "r2", "*"):
        stale = await edit(running, creator, draft_id, {"title": "Lost"}, mark)
        assert (stale.status_code, stale.json()["reason"]) == (412, "precondition_failed"), mark
    read = await running.get(f"/drafts/{draft_id}", creator)
    assert (read.json()["draft"]["goal"], read.headers["etag"]) == ("80,000", '"r2"')
    (reward,) = read.json()["draft"]["rewards"]
    assert reward["id"]


async def test_a_draft_is_checked_and_handed_in_once(running: Running) -> None:
    """The checklist names what is amiss; a submission under one key happens once, with the
    draft's id and the amounts that were typed.
    """
    creator = await running.caller("creator")
    body = {"draft": whole()}
    draft_id = (await running.post("/drafts", creator, body)).json()["draft_id"]
    listed = (await running.get(f"/drafts/{draft_id}/checklist", creator)).json()
    assert [item["field"] for item in listed["items"] if not item["done"]] == ["cover"]
    assert not listed["ready"]
    keyed = Caller(creator.party, creator.headers | {"idempotency-key": "hand in"})
    first = await running.post(f"/drafts/{draft_id}/submit", keyed)
    running.platform.follower.catch_up()
    again = await running.post(f"/drafts/{draft_id}/submit", keyed)
    assert (first.status_code, first.json()["campaign_id"]) == (201, draft_id)
    assert again.json() == first.json()
    assert running.platform.log.last()[0] == 1
    page = (await running.get(f"/campaigns/{draft_id}", creator)).json()
    assert (page["phase"], page["goal_minor"]) == ("submitted", 8_000_000)
    assert page["rewards"][0]["shipping"] == [{"region": "CN", "fee_minor": 1_200}]
    late = await edit(running, creator, draft_id, whole(), '"r2"')
    assert (late.status_code, late.json()["reason"]) == (409, "wrong_phase")


async def test_a_draft_that_lacks_something_is_not_handed_in(running: Running) -> None:
    """What the rules refuse is named, and nothing is submitted."""
    creator = await running.caller("creator")
    made = await running.post("/drafts", creator, {"draft": whole() | {"goal": "much"}})
    refused = await running.post(f"/drafts/{made.json()['draft_id']}/submit", creator)
    assert (refused.status_code, refused.json()["reason"]) == (422, "content_invalid")
    assert "goal" in refused.json()["detail"]
    assert running.platform.log.last() == (0, 0)


async def test_a_draft_is_thrown_away(running: Running) -> None:
    """In the version that is meant; then it is gone for good."""
    creator = await running.caller("creator")
    draft_id = (await running.post("/drafts", creator, {})).json()["draft_id"]
    address = f"/api/v1/drafts/{draft_id}"
    stale = await running.client.delete(address, headers=creator.headers | {"if-match": '"r9"'})
    assert stale.status_code == 412
    done = await running.client.delete(address, headers=creator.headers | {"if-match": '"r1"'})
    assert (done.status_code, done.content) == (204, b"")
    assert (await running.get(f"/drafts/{draft_id}", creator)).status_code == 404


async def test_a_draft_is_begun_once_under_one_key(running: Running) -> None:
    """A repeated request finds the draft that the first one made."""
    creator = await running.caller("creator")
    keyed = Caller(creator.party, creator.headers | {"idempotency-key": "mine"})
    made = [(await running.post("/drafts", keyed, {})).json() for _ in range(2)]
    assert made[0]["draft_id"] == made[1]["draft_id"]
    assert len((await running.get("/drafts", creator)).json()["drafts"]) == 1
    assert made[0]["updated_at"] == NOW
