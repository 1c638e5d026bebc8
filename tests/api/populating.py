"""A platform with something of everything in it, and keys of everybody, for tests of all addresses.

Two channels, each with staff, a treasurer and an auditor; a creator and a backer, and strangers.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec

from app.stores.channels import Channel
from app.stores.people import Role
from domain.terms import DAY_MS, Terms
from projections.campaign_pages import get_page
from tests.api.running import NOW, Caller, Json, Running, campaign, new_id, pledge


class Peopled(msgspec.Struct):
    """Keys by who shows them, and ids by the name under which addresses and bodies ask for them.

    `others` are keys of strangers: of the other channel, another creator, another backer.
    """

    running: Running
    other_channel: str
    keys: dict[str, Caller]
    others: dict[str, Caller]
    ids: dict[str, list[str]]

    def some(self, name: str, chance: random.Random) -> str:
        """One of the ids that there are for a name; a random one where there is none."""
        known = self.ids.get(name) or [new_id()]
        return chance.choice(known)


async def officer(running: Running, role: Role, channel: str) -> Caller:
    """Somebody with a role in a channel, and a key for it."""
    stores = running.platform.stores
    party = await stores.people.add_person(role, at=NOW)
    await stores.accounts.grant(party, channel, role, by="staff:test", at=NOW)
    token, _ = await stores.keys.create(role=role, owner=party, at=NOW, channel=channel)
    return Caller(party, {"authorization": f"Bearer {token}"})


async def peopled(running: Running) -> Peopled:
    """Fill the platform."""
    stores = running.platform.stores
    first = await stores.channels.get(running.channel)
    other = Channel(
        id=new_id(),
        name="Other channel",
        languages=first.languages,
        currencies=first.currencies,
        terms=Terms(),
    )
    await stores.channels.save(other, at=NOW)
    operator = await running.caller("staff")
    keys = {
        "operator": operator,
        "staff": await officer(running, "staff", running.channel),
        "treasurer": await officer(running, "treasurer", running.channel),
        "auditor": await officer(running, "auditor", running.channel),
        "creator": await running.caller("creator"),
        "backer": await running.caller("backer"),
    }
    others = {
        "staff": await officer(running, "staff", other.id),
        "treasurer": await officer(running, "treasurer", other.id),
        "auditor": await officer(running, "auditor", other.id),
        "creator": await running.caller("creator"),
        "backer": await running.caller("backer"),
    }
    ids: dict[str, list[str]] = {
        "channel_id": [running.channel],
        "channel": [running.channel],
        "creator_id": [keys["creator"].party],
        "backer_id": [keys["backer"].party],
    }
    world = Peopled(running, other.id, keys, others, ids)
    await _campaigns(world)
    await _beside(world)
    return world


async def _campaigns(world: Peopled) -> None:
    """A campaign in review, live ones, and one that succeeded and asks for a payout."""
    running, keys = world.running, world.keys
    creator = keys["creator"]
    common: dict[str, Json] = {"creator_id": creator.party, "channel": running.channel}
    won = await running.launched(keys["operator"], goal_minor=10_000, **common)
    await _pledged(world, won, amount=36_000, reward_id=won["reward_ids"][1])
    await _pledged(world, won, amount=14_000)
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    await running.do(keys["staff"], won["campaign_id"], "payout-account", {"account_id": new_id()})
    running.clock.now = NOW + 50 * DAY_MS
    for _ in range(2):
        payout = {"payout_id": new_id()}
        world.ids.setdefault("payout_id", []).append(payout["payout_id"])
        await running.do(creator, won["campaign_id"], "payouts/request", payout)
    world.ids["refund_id"] = [new_id()]
    refund = {"refund_id": world.ids["refund_id"][0], "amount_minor": 1_000, "cause": "goodwill"}
    await running.do(creator, won["campaign_id"], "refunds", refund | {"no": 2})
    later = {"deadline_at": running.clock.now + 30 * DAY_MS}
    live = [await running.launched(keys["operator"], **common, **later) for _ in range(3)]
    for submitted in live:
        await _pledged(world, submitted, amount=5_000)
        offer = {
            "offer_id": new_id(),
            "need_id": submitted["need_ids"][0],
            "quantity": 3,
        }
        await running.do(keys["backer"], submitted["campaign_id"], "needs/offer", offer)
        world.ids.setdefault("offer_id", []).append(offer["offer_id"])
        await running.do(
            creator,
            submitted["campaign_id"],
            "updates",
            {"update_id": new_id(), "text": {"title": "News", "body": "We work."}},
        )
    waiting = await running.post("/campaigns", keys["operator"], campaign(**common, **later))
    made = [won, *live, waiting.json()]
    world.ids["campaign_id"] = [one["campaign_id"] for one in made]
    for name in ("reward", "need", "milestone"):
        world.ids[f"{name}_id"] = [part for one in made for part in one[f"{name}_ids"]]
    running.platform.follower.catch_up()


async def _pledged(world: Peopled, submitted: dict[str, Any], **changes: Json) -> None:
    running, backer = world.running, world.keys["backer"]
    reference = running.platform.bank.prepare_method_direct(at=running.clock.now)
    kept = await running.post(
        "/payment-methods",
        world.keys["operator"],
        {"backer_id": backer.party, "reference": reference},
    )
    method = kept.json()["payment_method"]
    body = pledge(payment_method=method, **changes)
    answer = await running.post(f"/campaigns/{submitted['campaign_id']}/pledges", backer, body)
    assert answer.status_code == 201, answer.text
    world.ids.setdefault("pledge_id", []).append(body["pledge_id"])
    world.ids.setdefault("payment_method", []).append(method)
    world.ids.setdefault("position", []).append(str(answer.json()["position"]))


async def _beside(world: Peopled) -> None:
    """A draft, a report, a key to spare."""
    running, keys = world.running, world.keys
    draft = await running.post(
        "/drafts", keys["creator"], {"channel": running.channel, "draft": {"title": "Soon"}}
    )
    world.ids["draft_id"] = [draft.json()["draft_id"]]
    report = await running.post(
        f"/campaigns/{world.ids['campaign_id'][0]}/reports", keys["backer"], {"reason": "untrue"}
    )
    world.ids["report_id"] = [report.json()["report_id"]]
    campaign_id = world.ids["campaign_id"][1]
    asked = await running.post(
        f"/campaigns/{campaign_id}/questions", keys["backer"], {"body": "Is there a ramp?"}
    )
    world.ids["question_id"] = [asked.json()["question_id"]]
    async with running.platform.views.connect() as connection:
        page = await get_page(connection, campaign_id)
    assert page is not None
    world.ids["content"] = [page.text]
    world.ids["party"] = [keys["treasurer"].party]
    spare = await running.post("/keys", keys["creator"], {})
    world.ids["key_id"] = [spare.json()["key_id"]]
