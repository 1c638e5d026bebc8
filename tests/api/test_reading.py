"""What is read beside a campaign's page: money, numbers, the past, one's own, desks, keys."""

from __future__ import annotations

import csv
import io

import pyarrow.parquet as pq  # type: ignore[import-untyped]

from tests.api.populating import peopled
from tests.api.running import Caller, Running


async def test_where_the_money_is_adds_up(running: Running) -> None:
    """Both sides of the identity are the same, and the books hold what the figures say."""
    world = await peopled(running)
    won = world.ids["campaign_id"][0]
    money = (await running.get(f"/campaigns/{won}/money", world.others["backer"])).json()
    assert money["sources_minor"] == money["uses_minor"] == 50_000
    held = [one for one in money["balances"] if one["account"].endswith(":Held")]
    assert [-one["balance_minor"] for one in held] == [money["figures"]["held_minor"]]
    assert sum(day["charged_minor"] for day in money["days"]) == 50_000
    assert {payout["state"] for payout in money["payouts"]} == {"requested"}


async def test_a_number_is_explained_by_day_and_for_the_team_by_event(running: Running) -> None:
    """What is explained is what the page shows; single pledges are the team's to see."""
    world = await peopled(running)
    won = world.ids["campaign_id"][0]
    page = (await running.get(f"/campaigns/{won}", world.keys["creator"])).json()
    for number in ("pledged", "charged", "held", "paid", "returned", "fees", "owed"):
        at = f"/campaigns/{won}/explain/{number}"
        said = (await running.get(at, world.keys["creator"])).json()
        assert said["total_minor"] == page["figures"][f"{number}_minor"], number
        assert sum(day["change_minor"] for day in said["days"]) == said["total_minor"]
        assert sum(one["change_minor"] for one in said["changes"]) == said["total_minor"]
        public = (await running.get(at, world.others["backer"])).json()
        assert public == said | {"changes": None}
    unknown = await running.get(f"/campaigns/{won}/explain/profit", world.keys["creator"])
    assert unknown.status_code == 404


async def test_the_past_is_as_it_was(running: Running) -> None:
    """At the end of the first day there were two pledges and no charge; a single position is the
    team's to ask for.
    """
    world = await peopled(running)
    won = world.ids["campaign_id"][0]
    then = (
        await running.get(f"/campaigns/{won}/past?at=2026-03-12", world.others["backer"])
    ).json()
    assert (then["campaign"]["pledges"], then["campaign"]["figures"]["charged_minor"]) == (2, 0)
    assert then["campaign"]["phase"] == "live"
    at = f"/campaigns/{won}/past?position=4"
    one = (await running.get(at, world.keys["creator"])).json()
    assert (one["campaign"]["pledges"], one["position"]) == (1, 4)
    assert (await running.get(at, world.others["backer"])).status_code == 403
    for query in ("", "?at=2026-13-01", "?at=tomorrow", "?at=2999-01-01"):
        refused = await running.get(f"/campaigns/{won}/past{query}", world.keys["backer"])
        assert (refused.status_code, refused.json()["reason"]) == (422, "request_invalid"), query


async def test_a_backer_reads_every_line(running: Running) -> None:
    """The statement's lines sum to what is held, the CSV has the same lines, and pages go on."""
    world = await peopled(running)
    backer, won = world.keys["backer"], world.ids["campaign_id"][0]
    first = (await running.get("/me/pledges?limit=2", backer)).json()
    following = (await running.client.get(first["next"], headers=backer.headers)).json()
    mine = [*first["pledges"], *following["pledges"]]
    positions = [one["position"] for one in mine]
    assert positions == sorted(set(positions), reverse=True)
    one = (await running.get(f"/campaigns/{won}/pledges/1", backer)).json()
    shares = one["pledge"]["shares"]
    assert one["statement"][-1]["held_minor"] == shares["held_minor"] > 0
    assert (
        shares["charged_minor"]
        == 36_000
        == sum(shares[f"{name}_minor"] for name in ("held", "paid", "fees", "returned"))
    )
    text = (await running.get("/me/statement.csv", backer)).text
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["campaign"] == won]
    assert [row["what"] for row in rows if row["pledge"] == "1"] == [
        line["kind"] for line in one["statement"]
    ]
    assert rows[0]["amount"] == "360.00"


async def test_the_desk_hides_who_is_hidden(running: Running) -> None:
    """Backers in pages, by state and reward, and whole as CSV and Parquet; no name that was not
    shown, and no party id anywhere.
    """
    world = await peopled(running)
    won, creator = world.ids["campaign_id"][0], world.keys["creator"]
    shown = running.platform.stores.shown_names
    await shown.keep(world.ids["pledge_id"][0], party=world.keys["backer"].party, name="=Evil()")
    first = await running.get(f"/campaigns/{won}/backers?limit=1", creator)
    following = await running.client.get(first.json()["next"], headers=creator.headers)
    rows = [*first.json()["backers"], *following.json()["backers"]]
    assert [row["no"] for row in rows] == [1, 2]
    assert {row["name"] for row in rows} == {None}
    assert following.json()["next"] is None
    waiting = await running.get(f"/campaigns/{won}/backers?state=refund_requested", creator)
    assert [row["no"] for row in waiting.json()["backers"]] == [2]
    rewarded = f"/campaigns/{won}/backers?reward={world.ids['reward_id'][1]}"
    assert [row["no"] for row in (await running.get(rewarded, creator)).json()["backers"]] == [1]
    exported = await running.get(f"/campaigns/{won}/backers.csv", creator)
    assert len(list(csv.DictReader(io.StringIO(exported.text)))) == 2
    table = pq.read_table(
        io.BytesIO((await running.get(f"/campaigns/{won}/backers.parquet", creator)).content)
    )
    assert table.column("charged_minor").to_pylist() == [36_000, 14_000]
    for answer in (first, following, exported):
        assert world.keys["backer"].party not in answer.text
        assert "Evil" not in answer.text


async def test_the_channels_people_see_what_waits(running: Running) -> None:
    """The review queue, requested payouts, reports that are settled once."""
    world = await peopled(running)
    staff, at = world.keys["staff"], f"/channels/{running.channel}"
    reviews = (await running.get(f"{at}/reviews", staff)).json()["campaigns"]
    assert [one["campaign_id"] for one in reviews] == [world.ids["campaign_id"][-1]]
    wanted = (await running.get(f"{at}/payouts?state=requested&limit=1", staff)).json()
    assert wanted["payouts"][0]["campaign_id"] == world.ids["campaign_id"][0]
    rest = await running.client.get(wanted["next"], headers=staff.headers)
    assert len(rest.json()["payouts"]) == 1
    (report,) = (await running.get(f"{at}/reports", staff)).json()["reports"]
    settle = f"/reports/{report['report_id']}/settle"
    settled = await running.post(settle, staff, {"outcome": "nothing_wrong", "note": "Seen."})
    assert settled.json()["resolved_by"] == f"staff:{staff.party}"
    assert (await running.post(settle, staff, {"outcome": "nothing_wrong"})).status_code == 409
    assert (await running.get(f"{at}/reports", staff)).json()["reports"] == []


async def test_a_key_makes_keys_no_stronger_than_itself(running: Running) -> None:
    """Its scopes at most, its end at most; the token is told once, also to a repetition."""
    creator = await running.caller("creator", scopes=("account", "campaigns:read"))
    keyed = Caller(creator.party, creator.headers | {"idempotency-key": "another"})
    first = (await running.post("/keys", keyed, {"scopes": ["campaigns:read"]})).json()
    again = (await running.post("/keys", keyed, {"scopes": ["campaigns:read"]})).json()
    assert again == first | {"token": None}
    made = Caller(creator.party, {"authorization": f"Bearer {first['token']}"})
    assert (await running.get("/me", made)).json()["scopes"] == ["campaigns:read"]
    assert (await running.get("/keys", made)).status_code == 403
    stronger = await running.post("/keys", creator, {"scopes": ["campaigns:write"]})
    assert (stronger.status_code, stronger.json()["reason"]) == (403, "scope_missing")
    listed = await running.get("/keys", creator)
    assert first["token"] not in listed.text
    gone = await running.client.delete(f"/api/v1/keys/{first['key_id']}", headers=creator.headers)
    assert gone.status_code == 204
    assert (await running.get("/me", made)).status_code == 401


async def test_search_finds_by_words(running: Running) -> None:
    """A word of the title finds what was launched; what waits for review is not found."""
    world = await peopled(running)
    backer = world.keys["backer"]
    found = (await running.get("/search?q=viaduct&limit=2", backer)).json()
    assert (found["total"], len(found["campaigns"])) == (4, 2)
    more = (await running.client.get(found["next"], headers=backer.headers)).json()
    ids = {one["campaign_id"] for one in (*found["campaigns"], *more["campaigns"])}
    assert ids == set(world.ids["campaign_id"][:-1])
    none = (await running.get("/search?q=submarine", backer)).json()
    assert none == {"campaigns": [], "total": 0, "next": None}


async def test_who_backs_asks_and_the_team_answers(running: Running) -> None:
    """A stranger may not ask, another creator not answer; follows come and go."""
    world = await peopled(running)
    campaign_id, question_id = world.ids["campaign_id"][1], world.ids["question_id"][0]
    at = f"/campaigns/{campaign_id}/questions"
    refused = await running.post(at, world.others["backer"], {"body": "And me?"})
    assert (refused.status_code, refused.json()["reason"]) == (403, "not_allowed")
    answered = await running.post(
        f"{at}/{question_id}/answer", world.keys["creator"], {"body": "Yes."}
    )
    assert answered.json()["answer"] == "Yes."
    (read,) = (await running.get(at, world.others["backer"])).json()["questions"]
    assert (read["body"], read["answer"]) == ("Is there a ramp?", "Yes.")
    backer = world.keys["backer"]
    for method, followed in (("PUT", [campaign_id]), ("PUT", [campaign_id]), ("DELETE", [])):
        await running.client.request(
            method, f"/api/v1/campaigns/{campaign_id}/follow", headers=backer.headers
        )
        mine = (await running.get("/me/follows", backer)).json()
        assert mine["campaign_ids"] == followed
