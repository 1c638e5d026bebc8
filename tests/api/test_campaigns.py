"""Campaigns by API: submitted, launched, read."""

from __future__ import annotations

import msgspec

from app.log import decode_row
from domain.events import CampaignSubmitted
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running, campaign, new_id, pledge


async def test_staff_submit_approve_and_launch_in_one_go(running: Running, staff: Caller) -> None:
    """The campaign is live, of a creator who was minted for it, and its texts can be read."""
    submitted = await running.launched(staff)
    assert (submitted["phase"], len(submitted["reward_ids"])) == ("live", 2)
    assert submitted["creator_id"] != staff.party
    read = (await running.get(f"/campaigns/{submitted['campaign_id']}", staff)).json()
    assert read["title"] == "Film nights under the viaduct"
    assert read["story"] == "A proper screen.\n\nA quiet generator."
    assert (read["phase"], read["currency"], read["goal_minor"]) == ("live", "CNY", 8_000_000)
    assert [reward["title"] for reward in read["rewards"]] == ["Poster", "Front row blanket"]
    assert [reward["left"] for reward in read["rewards"]] == [None, 1]
    assert read["needs"] == [
        {
            "need_id": submitted["need_ids"][0],
            "title": "Translation, hours",
            "description": "",
            "quantity": 40,
            "accepted": 0,
        }
    ]


async def test_no_text_enters_the_log(running: Running, staff: Caller) -> None:
    """What people wrote lies beside the log: its bytes hold not a word of it."""
    await running.launched(staff)
    rows = running.platform.log.read(0, 100)
    assert len(rows) == 3
    for word in (b"viaduct", b"Poster", b"Translation", b"generator"):
        assert not any(word in row.body for row in rows)


async def test_a_creator_submits_for_itself(running: Running) -> None:
    """A creator's campaign waits for review; it can neither launch it nor speak for another."""
    creator = await running.caller("creator")
    body = campaign()
    del body["first_time_creator"]
    answer = await running.post("/campaigns", creator, body)
    assert (answer.status_code, answer.json()["phase"]) == (201, "submitted")
    assert answer.json()["creator_id"] == creator.party
    event = decode_row(running.platform.log.read(0, 1)[0])
    assert isinstance(event, CampaignSubmitted)
    assert event.submission.first_time_creator
    for changes in (
        {"launch": True},
        {"creator_id": new_id()},
        {"terms": {"platform_fee_bps": 0}},
        {"first_time_creator": False},
    ):
        refused = await running.post("/campaigns", creator, body | changes)
        assert (refused.status_code, refused.json()["reason"]) == (403, "scope_missing"), changes


async def test_nobody_launches_a_campaign_of_their_own(running: Running, staff: Caller) -> None:
    """Staff who are its creator or of its team are refused before anything is submitted."""
    for changes in ({"creator_id": staff.party}, {"team": [staff.party]}):
        refused = await running.post("/campaigns", staff, campaign(launch=True, **changes))
        assert refused.status_code == 403
    assert running.platform.log.last() == (0, 0)


async def test_a_flexible_campaign_is_charged_at_the_pledge(
    running: Running, staff: Caller
) -> None:
    """The channel's terms are adapted to the model."""
    await running.launched(staff, model="flexible")
    event = decode_row(running.platform.log.read(0, 1)[0])
    assert isinstance(event, CampaignSubmitted)
    assert event.submission.terms.collect_at == "pledge"


async def test_what_is_not_fit_leaves_nothing_behind(running: Running, staff: Caller) -> None:
    """A refused submission names its faults, and keeps neither texts nor events."""
    refused = await running.post("/campaigns", staff, campaign(deadline_at=NOW - 1, goal_minor=0))
    assert (refused.status_code, refused.json()["reason"]) == (422, "content_invalid")
    assert "deadline" in refused.json()["detail"]
    assert "goal" in refused.json()["detail"]
    other = await running.post("/campaigns", staff, campaign(currency="USD"))
    assert other.status_code == 422
    assert running.platform.log.last() == (0, 0)
    async with running.platform.stores.content._engine.connect() as connection:
        found = await connection.exec_driver_sql("SELECT count(*) FROM content")
        assert found.scalar() == 0


async def test_an_idempotency_key_finds_the_first_campaign(running: Running, staff: Caller) -> None:
    """The same request twice is one campaign; another body under the key is a conflict; another
    caller's key of the same word is another key.
    """
    body = campaign(launch=True)
    keyed = Caller(staff.party, staff.headers | {"idempotency-key": "spring"})
    first = await running.post("/campaigns", keyed, body)
    again = await running.post("/campaigns", keyed, body)
    assert first.json() == again.json()
    assert running.platform.log.last()[0] == 3
    refused = await running.post("/campaigns", keyed, body | {"title": "Another"})
    assert (refused.status_code, refused.json()["reason"]) == (409, "idempotency_key_reused")
    other = await running.caller("staff")
    other = Caller(other.party, other.headers | {"idempotency-key": "spring"})
    assert (await running.post("/campaigns", other, body)).json() != first.json()


async def test_a_half_done_request_is_finished(running: Running, staff: Caller) -> None:
    """Where the server died between submission and launch, the repetition launches."""
    body = campaign(launch=True)
    keyed = Caller(staff.party, staff.headers | {"idempotency-key": "spring"})
    engine = running.platform.engine
    whole = engine.submit_async
    done = 0

    async def dies_after_one(command: object, key: str | None = None) -> object:
        nonlocal done
        done += 1
        if done > 1:
            raise RuntimeError("killed")
        return await whole(command, key)  # type: ignore[arg-type]

    engine.submit_async = dies_after_one  # type: ignore[method-assign, assignment]
    assert (await running.post("/campaigns", keyed, body)).status_code == 500
    engine.submit_async = whole  # type: ignore[method-assign]
    finished = await running.post("/campaigns", keyed, body)
    assert (finished.status_code, finished.json()["phase"]) == (201, "live")
    assert running.platform.log.last()[0] == 3


async def test_a_returned_campaign_is_handed_in_again(running: Running, staff: Caller) -> None:
    """It keeps its creator, and what is approved is the second version."""
    creator = await running.caller("creator")
    body = campaign()
    del body["first_time_creator"]
    submitted = (await running.post("/campaigns", creator, body)).json()
    campaign_id = submitted["campaign_id"]
    await running.do(staff, campaign_id, "return", {"text": {"body": "Say who is the team."}})
    answer = await running.post(
        f"/campaigns/{campaign_id}/resubmit", creator, body | {"title": "Season two"}
    )
    assert answer.json()["events"] == ["campaign.resubmitted.v1"]
    running.platform.follower.catch_up()
    read = (await running.get(f"/campaigns/{campaign_id}", creator)).json()
    assert (read["title"], read["creator_id"]) == ("Season two", creator.party)


async def test_a_list_goes_on_from_its_cursor(running: Running, staff: Caller) -> None:
    """Pages of two show five campaigns once each, also where another comes in between; `next` and
    `Link` name the same address, and the last page has neither.
    """
    made = {(await running.launched(staff))["campaign_id"] for _ in range(5)}
    seen: list[str] = []
    following = "/api/v1/campaigns?phase=live&limit=2"
    while following:
        answer = await running.client.get(following, headers=staff.headers)
        seen += [found["campaign_id"] for found in answer.json()["campaigns"]]
        following = answer.json()["next"]
        assert answer.headers.get("link") == (following and f'<{following}>; rel="next"')
        await running.launched(staff)
    assert (len(seen), set(seen)) == (5, made)
    none = (await running.get("/campaigns?phase=failed", staff)).json()
    assert none == {"campaigns": [], "next": None}


async def test_a_read_waits_for_a_write(running: Running, staff: Caller) -> None:
    """With `at_least` an answer shows the pledge; a position that never comes is 503."""
    campaign_id = (await running.launched(staff))["campaign_id"]
    (backer,) = await running.backers(1)
    made = await running.post(f"/campaigns/{campaign_id}/pledges", staff, pledge(backer_id=backer))
    position = made.json()["position"]
    late = await running.get(f"/campaigns/{campaign_id}?at_least={position}", staff)
    assert (late.status_code, late.json()["reason"]) == (503, "views_behind")
    assert late.headers["retry-after"] == "1"
    running.platform.follower.catch_up()
    read = await running.get(f"/campaigns/{campaign_id}?at_least={position}", staff)
    assert read.json()["figures"]["pledged_minor"] == 5_000
    assert int(read.headers["tributary-position"]) >= position


async def test_the_five_numbers_reconcile(running: Running, staff: Caller) -> None:
    """After a success the identity holds in what the API says."""
    campaign_id = (await running.launched(staff, goal_minor=10_000))["campaign_id"]
    for backer in await running.backers(3):
        kept = await running.post(
            "/payment-methods",
            staff,
            {"backer_id": backer, "reference": running.platform.bank.prepare_method_direct(at=NOW)},
        )
        body = pledge(backer_id=backer, payment_method=kept.json()["payment_method"])
        await running.post(f"/campaigns/{campaign_id}/pledges", staff, body)
    running.clock.now += 31 * DAY_MS
    running.work()
    read = (await running.get(f"/campaigns/{campaign_id}", staff)).json()
    figures = msgspec.convert(read["figures"], dict[str, int | None])
    assert figures["charged_minor"] == 15_000
    sources = ("charged_minor", "owed_minor", "written_off_minor")
    uses = ("held_minor", "paid_minor", "fees_minor", "returned_minor")
    assert sum(figures[name] or 0 for name in sources) == sum(figures[name] or 0 for name in uses)
