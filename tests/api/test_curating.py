"""What a channel's staff do beside the commands, and what they read."""

from __future__ import annotations

from domain.terms import DAY_MS
from tests.api.populating import peopled
from tests.api.running import Caller, Running, campaign


async def test_staff_show_a_campaign_first(running: Running) -> None:
    """It is among the channel's picks, then it is not; both are acts. One that waits is refused."""
    world = await peopled(running)
    staff, campaign_id = world.keys["staff"], world.ids["campaign_id"][1]
    features = running.platform.stores.features
    shown = await running.post(f"/campaigns/{campaign_id}/feature", staff)
    assert (shown.status_code, shown.json()["featured"]) == (200, True)
    assert [pick.campaign_id for pick in await features.of(running.channel)] == [campaign_id]
    await running.post(f"/campaigns/{campaign_id}/unfeature", staff)
    assert await features.of(running.channel) == []
    waiting = await running.post(f"/campaigns/{world.ids['campaign_id'][-1]}/feature", staff)
    assert (waiting.status_code, waiting.json()["reason"]) == (409, "wrong_phase")
    acts = (await running.get(f"/channels/{running.channel}/acts", staff)).json()["acts"]
    assert {act["act"] for act in acts} == {"campaign_featured", "campaign_unfeatured"}


async def test_a_text_is_taken_down_with_a_reason(running: Running) -> None:
    """Its words are gone for everybody, the act names the hash and why; another campaign's text is
    not found.
    """
    world = await peopled(running)
    staff, campaign_id = world.keys["staff"], world.ids["campaign_id"][1]
    body = {"content": world.ids["content"][0], "reason": "It names a private address."}
    other = await running.post(f"/campaigns/{world.ids['campaign_id'][2]}/take-down", staff, body)
    assert (other.status_code, other.json()["reason"]) == (404, "not_found")
    done = await running.post(f"/campaigns/{campaign_id}/take-down", staff, body)
    assert (done.status_code, done.json()["kind"]) == (200, "text")
    assert (await running.get(f"/campaigns/{campaign_id}", staff)).json()["story"] == ""
    (act,) = (await running.get(f"/channels/{running.channel}/acts", staff)).json()["acts"]
    assert (act["act"], act["subject"], act["reason"]) == (
        "text_taken_down",
        body["content"],
        body["reason"],
    )


async def test_a_question_is_hidden(running: Running) -> None:
    """By the team without, by staff with an act; nobody reads it then."""
    world = await peopled(running)
    campaign_id, question = world.ids["campaign_id"][1], world.ids["question_id"][0]
    at = f"/campaigns/{campaign_id}/questions"
    asked = await running.post(at, world.keys["backer"], {"body": "And a lift?"})
    for who, name in (("creator", question), ("staff", asked.json()["question_id"])):
        hidden = await running.post(f"{at}/{name}/hide", world.keys[who], {"reason": "Off topic."})
        assert (hidden.status_code, hidden.json()["reason"]) == (200, "Off topic.")
    assert (await running.get(at, world.keys["backer"])).json()["questions"] == []
    for who in ("treasurer", "auditor", "backer"):
        again = await running.post(f"{at}/{question}/hide", world.keys[who], {"reason": "No."})
        assert again.status_code == 403
    acts = (await running.get(f"/channels/{running.channel}/acts", world.keys["staff"])).json()
    assert [act["act"] for act in acts["acts"]] == ["question_hidden"]


async def test_offered_help_is_listed(running: Running) -> None:
    """Over all campaigns of the channel, in pages, by state."""
    world = await peopled(running)
    staff, at = world.keys["staff"], f"/channels/{running.channel}/needs"
    first = (await running.get(f"{at}?state=offered&limit=2", staff)).json()
    rest = (await running.client.get(first["next"], headers=staff.headers)).json()
    listed = [*first["offers"], *rest["offers"]]
    assert {offer["offer_id"] for offer in listed} == set(world.ids["offer_id"])
    assert listed[0]["need"] == "Translation, hours"
    assert rest["next"] is None
    assert (await running.get(f"{at}?state=accepted", staff)).json()["offers"] == []


async def test_what_changed_since_the_last_submission(running: Running) -> None:
    """Nothing the first time; then the words and the facts that changed, with the remark."""
    world = await peopled(running)
    staff, creator = world.keys["staff"], world.keys["creator"]
    campaign_id = world.ids["campaign_id"][-1]
    review = f"/campaigns/{campaign_id}/review"
    first = (await running.get(review, staff)).json()
    assert (first["times"], first["texts"], first["facts"]) == (1, [], [])
    remark = {"text": {"title": "Please", "body": "Say where."}}
    await running.do(staff, campaign_id, "return", remark)
    deadline_at = running.clock.now + 30 * DAY_MS
    changed = campaign(
        title="Film nights at the weir",
        goal_minor=9_000_000,
        deadline_at=deadline_at,
        channel=running.channel,
    )
    del changed["first_time_creator"]
    again = await running.post(f"/campaigns/{campaign_id}/resubmit", creator, changed)
    assert again.status_code < 300, again.text
    running.work()
    for caller in (staff, creator):
        found = (await running.get(review, caller)).json()
        assert (found["times"], found["remarks"][0]["body"]) == (2, "Say where.")
        title = next(text for text in found["texts"] if text["part"] == "Title")
        assert {"gone", "new"} <= {piece["kind"] for piece in title["pieces"]}
        assert "Goal" in {fact["name"] for fact in found["facts"]}


async def test_a_role_is_taken_with_its_keys_and_given_on_the_site_alone(
    running: Running,
) -> None:
    """A taken role ends its keys at once, and the last of the staff stays; no key gives a role."""
    world = await peopled(running)
    staff, at = world.keys["staff"], f"/channels/{running.channel}/roles"
    accounts, keys = running.platform.stores.accounts, running.platform.stores.keys
    account = await accounts.open("somebody@example.org", at=running.clock.now)
    body = {"mail": account.mail, "role": "treasurer"}
    assert (await running.post(at, staff, body)).status_code == 405
    await accounts.grant(
        account.party, running.channel, "staff", by=f"staff:{staff.party}", at=running.clock.now
    )
    roles = (await running.get(at, world.keys["auditor"])).json()["roles"]
    (given,) = [role for role in roles if role["party"] == account.party]
    assert (given["mail"], given["granted_by"]) == (account.mail, f"staff:{staff.party}")

    token, _ = await keys.create(
        role="staff", owner=account.party, at=running.clock.now, channel=running.channel
    )
    new = Caller(account.party, {"authorization": f"Bearer {token}"})
    assert (await running.get("/me", new)).status_code == 200
    gone = {"party": account.party, "role": "staff"}
    taken = await running.post(f"{at}/revoke", staff, gone)
    assert (taken.status_code, taken.content) == (204, b"")
    assert (await running.get("/me", new)).status_code == 401
    nobody = await running.post(f"{at}/revoke", staff, gone)
    assert (nobody.status_code, nobody.json()["reason"]) == (404, "not_found")
    last = await running.post(f"{at}/revoke", staff, {"party": staff.party, "role": "staff"})
    assert (last.status_code, last.json()["reason"]) == (409, "last_of_staff")
    acts = (await running.get(f"/channels/{running.channel}/acts", staff)).json()["acts"]
    assert {act["act"] for act in acts} == {"role_taken"}


async def test_acts_come_in_pages(running: Running) -> None:
    """Every act once, the newest first, also where several are of one moment."""
    world = await peopled(running)
    staff = world.keys["staff"]
    for campaign_id in world.ids["campaign_id"][1:4]:
        await running.post(f"/campaigns/{campaign_id}/feature", staff)
    following, seen = f"/api/v1/channels/{running.channel}/acts?limit=1", []
    while following:
        page = (await running.client.get(following, headers=staff.headers)).json()
        seen += [act["act_id"] for act in page["acts"]]
        following = page["next"]
    assert (len(seen), len(set(seen))) == (3, 3)
