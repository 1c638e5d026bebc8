"""Who looks at a campaign's page: backers, the creator's side, the staff."""

from __future__ import annotations

from app.stores.people import Role
from app.web.visitors import Visitors
from domain.commands import ChangeStory
from tests.api.running import NOW, Caller, Json, Running, new_id, pledge
from tests.web.browsing import Browser


async def person(running: Running, mail: str, name: str = "", role: Role = "backer") -> str:
    """The party of a new account."""
    account = await running.platform.stores.accounts.open(
        mail, at=NOW, display_name=name, role=role
    )
    return account.party


async def come_in(running: Running, party: str) -> Browser:
    """A browser in which this party has signed in."""
    platform = running.platform
    visitors = Visitors(
        platform.stores.sessions,
        platform.stores.accounts,
        secret=platform.settings.secret,
        secure=False,
        clock=platform.clock,
    )
    cookie = visitors.cookie(await visitors.begin(party, signed_in=True))
    browser = Browser(running)
    browser.client.cookies.set(cookie.key, cookie.value or "", domain="tributary.test", path="/")
    return browser


async def works_in(running: Running, party: str, role: Role) -> None:
    """Give a person a role in the test's channel."""
    await running.platform.stores.accounts.grant(
        party, running.channel, role, by="operator", at=NOW
    )


async def backs(running: Running, staff: Caller, cid: str, backer: str, amount: int = 5_000) -> str:
    """Let a party pledge with a card that works; returns the pledge's id."""
    reference = running.platform.bank.prepare_method_direct(at=NOW)
    kept = await running.post(
        "/payment-methods", staff, {"backer_id": backer, "reference": reference}
    )
    body = pledge(backer_id=backer, amount=amount, payment_method=kept.json()["payment_method"])
    answer = await running.post(f"/campaigns/{cid}/pledges", staff, body)
    assert answer.status_code == 201, answer.text
    running.platform.follower.catch_up()
    return str(body["pledge_id"])


async def launched_by(running: Running, staff: Caller, creator: str, **changes: Json) -> str:
    """A live campaign of this creator."""
    launched = await running.launched(staff, creator_id=creator, **changes)
    return str(launched["campaign_id"])


async def retell(running: Running, cid: str, creator: str, **changes: object) -> None:
    """The creator changes the campaign's texts after the launch."""
    platform = running.platform
    stands = platform.engine.inspect(cid, lambda state: state.bound.text)
    (document,) = (await platform.stores.content.get_many([stands])).values()
    text = await platform.stores.content.put(document | changes, at=platform.clock())
    await platform.engine.submit_async(
        ChangeStory(campaign_id=cid, by=f"creator:{creator}", command_id=new_id(), text=text)
    )
    platform.follower.catch_up()
