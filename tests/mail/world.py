"""A platform whose people have mail addresses, driven by commands."""

from __future__ import annotations

from msgspec.structs import replace

from app.payments.test_bank.cards import Behaviour
from app.stores.mails import KeptMail
from app.stores.people import Role
from domain import commands as c
from domain.terms import DAY_MS, Need, Reward, Submission, Terms
from tests.api.running import NOW, Json, Running, new_id

STAFF = "staff:" + new_id()
DEADLINE = NOW + 30 * DAY_MS


class World:
    """Short ways to what mails are about."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.platform = running.platform
        self.news = running.platform.news
        self.creator = ""

    async def person(self, mail: str, role: Role = "backer", language: str = "en") -> str:
        """Somebody with an account."""
        account = await self.platform.stores.accounts.open(
            mail, at=NOW, language=language, role=role
        )
        return account.party

    async def do(self, kind: type[c.Command], campaign_id: str, by: str, **fields: Json) -> None:
        """Have a command decided; the views follow."""
        command = kind(campaign_id=campaign_id, by=by, command_id=new_id(), **fields)
        await self.platform.engine.submit_async(command)
        self.platform.follower.catch_up()

    async def submitted(self, **changes: Json) -> str:
        """A campaign that waits for its review."""
        put = self.platform.stores.content.put
        text = await put(
            {
                "title": "Film nights",
                "blurb": "Twelve evenings",
                "language": "en",
                "translations": {"zh-Hans": {"title": "露天电影"}},
            },
            at=NOW,
        )
        self.creator = self.creator or await self.person("creator@example.org", "creator")
        need = Need(need_id=new_id(), quantity=40, text=await put({"title": "Hours"}, at=NOW))
        submission = Submission(
            creator=self.creator,
            model="all_or_nothing",
            currency="CNY",
            goal_minor=10_000,
            deadline_at=DEADLINE,
            terms=Terms(),
            text=text,
            needs=(need,),
            rewards=(Reward(reward_id=new_id(), price_minor=5_000),),
        )
        campaign_id = new_id()
        await self.do(
            c.SubmitCampaign,
            campaign_id,
            f"creator:{self.creator}",
            channel=self.running.channel,
            submission=replace(submission, **changes),
        )
        return campaign_id

    async def live(self, **changes: Json) -> str:
        """A campaign that takes pledges."""
        campaign_id = await self.submitted(**changes)
        await self.do(c.ApproveCampaign, campaign_id, STAFF)
        await self.do(c.LaunchCampaign, campaign_id, f"creator:{self.creator}")
        return campaign_id

    async def pledge(
        self, campaign_id: str, backer: str, amount: int = 12_000, card: Behaviour = "success"
    ) -> str:
        """A pledge with a card of the test bank."""
        reference = self.platform.bank.prepare_method_direct(card, at=NOW)
        method = await self.platform.stores.methods.add(
            party=backer, provider="test_bank", reference=reference, at=NOW
        )
        pledge_id = new_id()
        await self.do(
            c.MakePledge,
            campaign_id,
            f"backer:{backer}",
            pledge_id=pledge_id,
            backer=backer,
            amount_minor=amount,
            payment_method=method,
        )
        return pledge_id

    def after(self, at: int) -> None:
        """Go to that time, and let the processes work."""
        self.running.clock.now = at
        self.running.work()

    async def mails(self) -> list[KeptMail]:
        """Every mail, the oldest first, once everything is told."""
        await self.news.catch_up()
        return list(reversed(await self.platform.mail.mails.newest(limit=10_000)))

    async def told(self) -> list[tuple[str, str]]:
        """(local part of the address, template) of every mail that was not looked at before."""
        found = [(m.address.partition("@")[0], m.name) for m in await self.mails()]
        new = found[self._looked_at :]
        self._looked_at = len(found)
        return new

    _looked_at = 0
