"""Nobody reaches what is another's: every operation, with the keys of strangers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from app.api.describing import document
from domain.terms import DAY_MS
from tests.api.populating import Peopled, peopled
from tests.api.running import Caller, Json, Running, campaign, new_id, pledge

EVERYBODYS = frozenset(
    {
        *("list_campaigns", "get_campaign", "get_money", "explain_number", "get_past"),
        *("list_updates", "list_questions", "list_story_changes", "list_names"),
        *("search_campaigns", "list_channels", "get_channel", "get_creator", "list_categories"),
        *("send_report", "follow", "unfollow", "pledge", "OfferNeed"),
    }
)
"""What is of a campaign that was launched, or of a channel, and open to any key."""

ONES_OWN = frozenset(
    {
        *("get_me", "list_keys", "make_key", "list_follows", "list_my_pledges"),
        *(
            "get_statement_csv",
            "get_statement_pdf",
            "list_drafts",
            "begin_draft",
            "submit_campaign",
            "mint_backer",
        ),
        *("get_mail_choices", "set_mail_choices", "erase_me"),
    }
)
"""What names nobody else: a stranger finds or makes their own there."""

OVER_ALL = frozenset({"read_events", "get_health", "keep_payment_method", "pledge_batch"})
"""What is asked for over a channel; what of it is another's is tested beside this."""


def bodies(world: Peopled) -> dict[str, Json]:
    """For each operation a body that its own people could send."""
    ids = {name: known[0] for name, known in world.ids.items() if known}
    text = {"title": "Words", "body": "More words."}
    reward = {"reward_id": new_id(), "title": "Badge", "price_minor": 500}
    payout = {"payout_id": ids["payout_id"]}
    return {
        "PostUpdate": {"update_id": new_id(), "text": text},
        "UpdatePlan": {"text": text},
        "ReturnCampaign": {"text": text},
        "ChangeStory": {"text": {"title": "Another story"}},
        "SuspendCampaign": {"cause": "report"},
        "CancelCampaign": {"cause": "no_permit"},
        "ExtendDeadline": {"deadline_at": world.running.clock.now + 60 * DAY_MS},
        "AddReward": {"reward": reward},
        "ChangeReward": {"reward": reward | {"reward_id": ids["reward_id"]}},
        "ChangeRewardStock": {"reward_id": ids["reward_id"], "limit": 99},
        "OfferNeed": {"offer_id": new_id(), "need_id": world.ids["need_id"][1], "quantity": 1},
        "AcceptNeed": {"offer_id": ids["offer_id"]},
        "DeclineNeed": {"offer_id": ids["offer_id"]},
        "ReceiveNeed": {"offer_id": ids["offer_id"]},
        "RevisePledge": {"pledge_id": world.ids["pledge_id"][2], "amount_minor": 6_000},
        "WithdrawPledge": {"pledge_id": world.ids["pledge_id"][2]},
        "ReplacePaymentMethod": {
            "pledge_id": world.ids["pledge_id"][2],
            "payment_method": ids["payment_method"],
        },
        "ConfirmReceived": {"pledge_id": ids["pledge_id"]},
        "RequestRefund": {
            "no": 1,
            "refund_id": new_id(),
            "amount_minor": 100,
            "cause": "goodwill",
        },
        "MarkDelivered": {"nos": [1]},
        "VerifyPayoutAccount": {"account_id": new_id()},
        "RequestPayout": {"payout_id": new_id()},
        "ApprovePayout": payout,
        "RevokePayout": payout,
        "RefusePayout": payout | {"cause": "unclear"},
        "RecordRepayment": {"amount_minor": 100, "provider": "bank", "reference": "r-1"},
        "WriteOffDebt": {"amount_minor": 100},
        "ResolveDiscrepancy": {"discrepancy_id": new_id(), "resolution": "returned"},
        "pledge": pledge(),
        "resubmit_campaign": campaign(),
        "edit_draft": {"title": "Mine now"},
        "ask_question": {"body": "May I ask?"},
        "answer_question": {"body": "I answer."},
        "settle_report": {"outcome": "nothing_wrong"},
        "send_report": {"reason": "untrue"},
        "hide_question": {"reason": "It is off topic."},
        "take_down": {"content": world.ids["content"][0], "reason": "It names somebody."},
        "revoke_role": {"party": world.keys["auditor"].party, "role": "auditor"},
    }


async def _send(world: Peopled, path: str, method: str, said: Any, caller: Caller) -> Any:  # noqa: ANN401
    """Send what the operation's own people would send, with this key."""
    running = world.running
    name = said["operationId"]
    # A live campaign for what happens while it is live, the one that succeeded for what follows.
    which = 0 if name in _AFTER_SUCCESS else 1
    filled = path.format_map(
        {known: values[0] for known, values in world.ids.items() if values}
        | {"campaign_id": world.ids["campaign_id"][which], "no": 1, "number": "held"}
        # Where the first pledge of the live campaign stands.
        | {"position": world.ids["position"][2]}
    )
    body = bodies(world).get(name)
    query = _QUERIES.get(name, "")
    return await running.client.request(
        method, filled + query, json=body, headers=caller.headers | {"if-match": '"r1"'}
    )


_QUERIES = {
    "get_past": "?at=2026-03-20",
    "refund_quote": "?no=1",
    "add_picture": "?alt=A+wall",
}

_AFTER_SUCCESS = frozenset(
    {
        *("RequestRefund", "MarkDelivered", "ConfirmReceived", "RequestPayout", "ApprovePayout"),
        *("RevokePayout", "RefusePayout", "VerifyPayoutAccount", "UpdatePlan", "get_pledge"),
        *("OpenLatePledges", "CloseLatePledges", "refund_quote", "get_past", "ChangeReward"),
        *("ChangeRewardStock", "RecordRepayment", "WriteOffDebt"),
    }
)


async def test_no_operation_gives_a_stranger_what_is_anothers(running: Running) -> None:
    """Whatever is not everybody's or one's own is 403 or 404 for the other channel's people,
    another creator and another backer, and nothing enters the log. A command may say 409 first:
    that the campaign's phase is another is no secret.
    """
    world = await peopled(running)
    asked = 0
    for path, methods in document()["paths"].items():
        for method, said in methods.items():
            name = said["operationId"]
            if not path.startswith("/api/") or name in EVERYBODYS | ONES_OWN | OVER_ALL:
                continue
            before = running.platform.log.last()
            for who, stranger in world.others.items():
                answer = await _send(world, path, method, said, stranger)
                fits = {403, 404, 409} if said["tags"] == ["Commands"] else {403, 404}
                assert answer.status_code in fits, (method, path, who, answer.text)
                asked += 1
            assert running.platform.log.last() == before, path
    assert asked > 250


async def test_their_own_people_do_reach_it(running: Running) -> None:
    """The same reads with the keys of the campaign's own side are answered: the test above would
    pass for an API that refuses everybody.
    """
    world = await peopled(running)
    for path, methods in document()["paths"].items():
        said = methods.get("get")
        if said is None or not path.startswith("/api/"):
            continue
        statuses = {
            (await _send(world, path, "get", said, caller)).status_code
            for caller in world.keys.values()
        }
        assert 200 in statuses, (path, statuses)


async def test_what_waits_for_review_is_seen_by_its_own_people(running: Running) -> None:
    """A campaign that was not launched is its team's and its channel's; in lists, too."""
    world = await peopled(running)
    waiting = world.ids["campaign_id"][-1]
    for callers, seen in ((world.keys, True), (world.others, False)):
        for who, caller in callers.items():
            sees = seen and who != "backer"
            one = await running.get(f"/campaigns/{waiting}", caller)
            assert one.status_code == (200 if sees else 404), who
            listed = (await running.get("/campaigns?limit=200", caller)).json()["campaigns"]
            assert (waiting in {line["campaign_id"] for line in listed}) is sees, who


async def test_an_auditor_reads_the_log_of_their_channel(running: Running) -> None:
    """Every event for the channel's own auditor, none of it for another channel's."""
    world = await peopled(running)
    own = await running.get("/events?limit=1000", world.keys["auditor"])
    other = await running.get("/events?limit=1000", world.others["auditor"])
    last, _ = running.platform.log.last()
    assert (len(own.json()), other.json()) == (last, [])
    assert other.headers["tributary-position"] == str(last)


async def test_a_role_that_was_taken_takes_its_keys_along(running: Running) -> None:
    """Who is not of a channel's staff any more has a key that opens nothing."""
    world = await peopled(running)
    staff = world.keys["staff"]
    assert (await running.get("/me", staff)).status_code == 200
    await running.platform.stores.accounts.revoke(staff.party, running.channel, "staff")
    running.clock.now += 5_001
    refused = await running.get("/me", staff)
    assert (refused.status_code, refused.json()["reason"]) == (401, "key_missing")


async def test_staff_of_a_channel_act_in_it_alone(running: Running) -> None:
    """The other channel's staff neither suspend nor submit here."""
    world = await peopled(running)
    campaign_id = world.ids["campaign_id"][1]
    refused = await running.post(
        f"/campaigns/{campaign_id}/suspend", world.others["staff"], {"cause": "report"}
    )
    assert (refused.status_code, refused.json()["reason"]) == (403, "other_channel")
    body = campaign(channel=running.channel, deadline_at=running.clock.now + 30 * DAY_MS)
    submitted = await running.post("/campaigns", world.others["staff"], body)
    assert (submitted.status_code, submitted.json()["reason"]) == (403, "other_channel")
    fine = await running.post(
        f"/campaigns/{campaign_id}/suspend", world.keys["staff"], {"cause": "report"}
    )
    assert fine.status_code == 200


async def test_a_payment_method_is_its_backers(running: Running) -> None:
    """Nobody pledges with what another backer prepared: not a backer, not an import, not one line
    of a batch, and no pledge is given another's card.
    """
    world = await peopled(running)
    method = world.ids["payment_method"][0]
    owner, other = world.keys["backer"], world.others["backer"]
    at = f"/campaigns/{world.ids['campaign_id'][1]}/pledges"
    (somebody,) = await running.backers(1)
    for caller, body in (
        (other, pledge(payment_method=method)),
        (world.keys["operator"], pledge(payment_method=method, backer_id=somebody)),
        (world.keys["operator"], pledge(payment_method=new_id(), backer_id=owner.party)),
    ):
        refused = await running.post(at, caller, body)
        assert (refused.status_code, refused.json()["reason"]) == (422, "payment_method_unknown")
    campaign_id = world.ids["campaign_id"][1]
    lines = [
        pledge(campaign_id=campaign_id, backer_id=backer, payment_method=named)
        for backer, named in (
            (owner.party, method),
            (somebody, method),
            (owner.party, new_id()),
            (somebody, ""),
        )
    ]
    sent = b"\n".join(json.dumps(line).encode() for line in lines)
    answer = await running.client.post(
        "/api/v1/pledges/batch", content=sent, headers=world.keys["operator"].headers
    )
    statuses = [json.loads(line)["status"] for line in answer.content.splitlines()]
    assert statuses == [201, 422, 422, 201]
    made = (await running.post(at, other, pledge())).json()
    refused = await running.post(
        f"{at}/payment-method",
        world.keys["operator"],
        {"pledge_id": made["pledge_id"], "payment_method": method},
    )
    assert refused.status_code in {403, 422}


async def test_a_batch_looks_its_methods_up_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many lines name one, the table is asked once; where none does, never."""
    world = await peopled(running)
    methods = running.platform.stores.methods
    parties, asked = methods.parties, 0

    async def counted(named: Iterable[str]) -> dict[str, str]:
        nonlocal asked
        asked += 1
        return await parties(named)

    monkeypatch.setattr(methods, "parties", counted)
    backer = world.keys["backer"].party
    for named, times in (("", 0), (world.ids["payment_method"][0], 1)):
        line = {"campaign_id": world.ids["campaign_id"][1], "backer_id": backer}
        sent = b"\n".join(
            json.dumps(pledge(**line, payment_method=named)).encode() for _ in range(30)
        )
        await running.client.post(
            "/api/v1/pledges/batch", content=sent, headers=world.keys["operator"].headers
        )
        assert asked == times
