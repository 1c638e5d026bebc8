"""Make the sample campaigns: their whole history, by the commands that everybody uses."""

from __future__ import annotations

import heapq
import random
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, Final

import msgspec

from app.demo.life import liven
from app.demo.people import (
    COMMUNITY_NAME,
    MEMBER_OF,
    PLEDGES_TO,
    SamplePeople,
    add_sample_people,
)
from app.demo.plans import ChannelPlan, Plan, PlannedReward
from app.payments.test_bank.cards import Behaviour
from app.simulation.run import SimulatedClock
from app.stores.channels import Channel
from app.wiring import Platform
from domain import commands as c
from domain.errors import SoldOut
from domain.events import Visibility
from domain.money import EXPONENTS
from domain.state import Campaign
from domain.terms import (
    DAY_MS,
    Choice,
    Milestone,
    Need,
    Reward,
    ShippingFee,
    Submission,
    Terms,
)
from projections.campaign_pages import CampaignPage, get_page

SEED: Final = 20_260_101
"""So that every demo tells the same stories."""

HOUR_MS: Final = 3_600_000
COMMUNITY: Final = 2_000
"""Backers who pledge to several campaigns; the largest campaign has its own besides."""
_BARE_PLEDGES: Final = 0.45
"""How many of the sample pledges choose no reward."""
_VISIBILITIES: Final[tuple[Visibility, ...]] = ("name", "pen_name", "hidden", "hidden")

Action = Callable[[], object]


class Sample:
    """One campaign of the demo and the ids that its story needs."""

    def __init__(self, plan: Plan, channel: str, start_at: int) -> None:
        self.plan = plan
        self.channel = channel
        self.campaign_id = _new_id()
        self.creator = _new_id()
        self.launch_at = start_at + round(plan.launch * DAY_MS)
        self.end_at = start_at + round(plan.end * DAY_MS)
        self.rewards: list[tuple[PlannedReward, Reward]] = []
        self.sold: Counter[str] = Counter()
        self.milestones: list[Milestone] = []
        self.submission: Submission | None = None

    def is_of(self, teams: frozenset[str]) -> bool:
        """Whether one of these teams stands behind it."""
        return self.plan.team.partition(" ·")[0] in teams

    def offers(self, planned: PlannedReward, reward: Reward) -> bool:
        """Whether the sample pledges may still take this reward."""
        return not planned.add_on and self.sold[reward.reward_id] < planned.sold

    def minor(self, amount: float) -> int:
        """Major units of the campaign's currency as minor ones."""
        return round(amount * int(10 ** EXPONENTS[self.plan.currency]))


class Seeder:
    """Fills an empty platform with the plans; time runs from the first launch to `start_at`."""

    def __init__(
        self,
        platform: Platform,
        clock: SimulatedClock,
        channels: Sequence[ChannelPlan],
        start_at: int,
    ) -> None:
        self._platform = platform
        self._clock = clock
        self._start_at = start_at
        self._channels = {_new_id(): channel for channel in channels}
        self._samples = [
            Sample(plan, channel_id, start_at)
            for channel_id, channel in self._channels.items()
            for plan in channel.plans
        ]
        self._in_review = [
            Sample(plan, channel_id, start_at)
            for channel_id, channel in self._channels.items()
            for plan in channel.in_review
        ]
        self._agenda: list[tuple[int, int, Action]] = []
        self._order = count()
        self._random = random.Random(SEED)  # noqa: S311 - stories, not secrets
        self._people = SamplePeople({})
        self._community: list[str] = []
        self._methods: dict[str, list[tuple[str, str]]] = {}
        self._pending: list[tuple[Sample, c.MakePledge]] = []
        self._touched = False

    async def run(self) -> list[str]:
        """Make everything; return the ids of the campaigns in the order of the plans."""
        first = min(sample.launch_at for sample in self._samples) - DAY_MS
        self._clock.now = first
        for channel_id, channel in self._channels.items():
            await self._platform.stores.channels.save(
                Channel(
                    id=channel_id,
                    name=channel.name,
                    languages=channel.languages,
                    currencies=channel.currencies,
                    terms=Terms(),
                ),
                at=first,
            )
        self._people = await add_sample_people(self._platform, list(self._channels), first)
        self._community = await self._backers(COMMUNITY, first)
        for sample in self._samples:
            await self._prepare(sample)
            await self._prepare_methods(sample, sample.launch_at - DAY_MS)
            self._plan_pledges(sample)
            self._plan_story(sample)
        for sample in self._in_review:
            await self._prepare(sample)
            await self._plan_review(sample)
        for tick in range(first, self._start_at, DAY_MS // 4):
            self._at(tick, self._tick)
        self._run_agenda()
        self._platform.follower.catch_up()
        await liven(self._platform, self._people, await self._pages_by_team(), self._start_at)
        self._settle()
        self._platform.follower.catch_up()
        return [sample.campaign_id for sample in self._samples]

    async def _pages_by_team(self) -> dict[str, CampaignPage]:
        found = {}
        async with self._platform.views.connect() as views:
            for sample in self._samples:
                page = await get_page(views, sample.campaign_id)
                assert page is not None, "every sample campaign was submitted"
                found[sample.plan.team.partition(" team")[0]] = page
        return found

    # --- The agenda ------------------------------------------------------------------------------

    def _at(self, at: int, action: Action) -> None:
        if at < self._start_at:
            heapq.heappush(self._agenda, (at, next(self._order), action))

    def _run_agenda(self) -> None:
        while self._agenda:
            at, _, action = heapq.heappop(self._agenda)
            self._clock.now = max(self._clock.now, at)
            action()
        self._clock.now = self._start_at
        self._settle()

    def _settle(self) -> None:
        self._hand_in()
        while self._platform.processes.step(self._clock.now) + self._platform.hear_bank():
            pass

    def _tick(self) -> None:
        """Settle what has become due since the last time, if anything has."""
        due = self._platform.processes.next_due()
        if self._pending or self._touched or (due is not None and due <= self._clock.now):
            self._touched = False
            self._settle()

    def _do(self, command: c.Command) -> None:
        self._hand_in()
        self._touched = True
        self._platform.engine.submit(command)

    # --- Campaigns -------------------------------------------------------------------------------

    async def _prepare(self, sample: Sample) -> None:
        plan, stores = sample.plan, self._platform.stores
        at = sample.launch_at - DAY_MS
        sample.creator = await stores.people.add_person("creator", display_name=plan.team, at=at)
        put = partial(stores.content.put, at=at)
        told = ("title", "description")
        for planned in plan.rewards:
            text = await put(plan.part(told, planned.en, planned.zh))
            sample.rewards.append((planned, _reward(sample, planned, text)))
        needs = [
            Need(
                need_id=_new_id(),
                quantity=quantity,
                text=await put(plan.part(told, (en, ""), (zh, ""))),
            )
            for en, zh, quantity in plan.needs
        ]
        sample.milestones = [
            Milestone(
                milestone_id=_new_id(),
                share_bps=share,
                text=await put(plan.part(told, (en, ""), (zh, ""))),
            )
            for en, zh, share in plan.milestones
        ]
        team = (self._people["creator"],) if sample.is_of(MEMBER_OF) else ()
        sample.submission = Submission(
            creator=sample.creator,
            team=team,
            model=plan.model,
            currency=plan.currency,
            goal_minor=sample.minor(plan.goal),
            deadline_at=sample.end_at,
            terms=Terms(collect_at=plan.collect_at),
            text=await put(plan.document()),
            rewards=tuple(reward for _, reward in sample.rewards),
            needs=tuple(needs),
            milestones=tuple(sample.milestones),
        )
        self._at(at, partial(self._submit, sample))
        if sample.plan.story not in ("submitted", "resubmitted"):
            self._at(at + 1, partial(self._approve, sample))
        for day, title, body, title_zh, body_zh in plan.updates:
            posted_at = self._start_at + round(day * DAY_MS)
            update = await stores.content.put(
                plan.part(("title", "body"), (title, body), (title_zh, body_zh)), at=posted_at
            )
            self._at(posted_at, partial(self._post, sample, update))

    async def _backers(self, number: int, at: int) -> list[str]:
        """So many new backers, with names that say what they are."""
        people = self._platform.stores.people
        backers = await people.mint_backers(number, at=at)
        known = len(self._community)
        await people.name_many(
            {
                backer: f"{COMMUNITY_NAME} {place:05}"
                for place, backer in enumerate(backers, start=known + 1)
            }
        )
        return backers

    async def _prepare_methods(self, sample: Sample, at: int) -> None:
        """Cards for all who will pledge; those that behave in their own way are the last."""
        behaviours: list[Behaviour] = ["success"] * sample.plan.backers
        match sample.plan.story:
            case "cards_fail":
                behaviours[-9:] = ["declines_later"] * 9
            case "milestones":
                # One payment that is not completed keeps it unsettled: late pledges can stay open.
                behaviours[-1:] = ["declines_later"]
            case "disputed":
                behaviours[:2] = ["dispute"] * 2
            case _:
                pass
        bank, number = self._platform.bank, len(behaviours)
        if number > len(self._community):
            backers = await self._backers(number, at)
        else:
            backers = self._random.sample(self._community, number)
        if sample.is_of(PLEDGES_TO):
            backers[-2 if sample.plan.story == "milestones" else -1] = self._people["backer"]
        references = bank.prepare_methods_direct(behaviours, at=at) if behaviours else []
        pairs = list(zip(backers, references, strict=True))
        methods = await self._platform.stores.methods.add_many(pairs, provider=bank.name, at=at)
        self._methods[sample.campaign_id] = list(zip(backers, methods, strict=True))

    def _submit(self, sample: Sample) -> None:
        assert sample.submission is not None, "a sample is prepared first"
        self._do(
            c.SubmitCampaign(
                **_about(sample, f"creator:{sample.creator}"),
                channel=sample.channel,
                submission=sample.submission,
            )
        )

    def _approve(self, sample: Sample) -> None:
        self._do(c.ApproveCampaign(**_about(sample, self._by("staff"))))
        launch = c.LaunchCampaign(**_about(sample, f"creator:{sample.creator}"))
        self._at(sample.launch_at, partial(self._do, launch))

    async def _plan_review(self, sample: Sample) -> None:
        """Let staff send one back with remarks, and its team hand it in again."""
        if sample.plan.story != "resubmitted" or sample.submission is None:
            return
        at, put = sample.launch_at, self._platform.stores.content.put
        remarks = await put(
            {"title": "", "body": "Who looks after it in ten years? Please say so in the story."},
            at=at,
        )
        back = c.ReturnCampaign(**_about(sample, self._by("staff")), text=remarks)
        better = sample.plan.document()
        better["story"] += "\n\nThe parents' association looks after it, ten years at least."
        again = msgspec.structs.replace(
            sample.submission,
            text=await put(better, at=at),
            goal_minor=sample.submission.goal_minor + sample.minor(1_000),
        )
        creator = f"creator:{sample.creator}"
        handed_in = c.ResubmitCampaign(**_about(sample, creator), submission=again)
        self._at(at - HOUR_MS, partial(self._do, back))
        self._at(at + DAY_MS, partial(self._do, handed_in))

    def _by(self, role: Any) -> str:  # noqa: ANN401 - one of the roles
        return f"{role}:{self._people[role]}"

    def _post(self, sample: Sample, text: str) -> None:
        creator = f"creator:{sample.creator}"
        self._do(c.PostUpdate(**_about(sample, creator), update_id=_new_id(), text=text))

    # --- Pledges ---------------------------------------------------------------------------------

    def _plan_pledges(self, sample: Sample) -> None:
        until = min(sample.end_at, self._start_at)
        self._at(sample.end_at - 1, self._hand_in)
        if sample.plan.story == "suspended":
            until -= 2 * DAY_MS
        span = until - sample.launch_at - HOUR_MS
        backers = self._methods[sample.campaign_id]
        if sample.plan.percent:
            *backers, (last, its_method) = backers
            filled_at = min(sample.end_at - HOUR_MS, self._start_at - 1)
            if sample.end_at > self._start_at:
                filled_at = self._start_at - 1
            self._at(filled_at, partial(self._fill_up, sample, last, its_method))
        for backer, method in backers:
            # Most come in the first days and the last ones, as everywhere.
            part = self._random.betavariate(0.7, 0.9)
            at = sample.launch_at + HOUR_MS // 2 + round(part * span)
            self._at(at, partial(self._pledge, sample, backer, method))

    def _pledge(self, sample: Sample, backer: str, method: str) -> None:
        planned = [pair for pair in sample.rewards if sample.offers(*pair)]
        choices: tuple[Choice, ...] = ()
        amount_minor = sample.minor(self._random.choice(sample.plan.gifts))
        destination = ""
        if planned and self._random.random() > _BARE_PLEDGES:
            _, reward = self._random.choice(planned)
            sample.sold[reward.reward_id] += 1
            choices = (Choice(reward.reward_id),)
            amount_minor = reward.price_minor
            if reward.shipping:
                destination = "CN"
                amount_minor += reward.shipping_minor(destination) or 0
        bare = self._bare_pledge(sample, backer, method, amount_minor)
        shown = self._random.choice(_VISIBILITIES)
        self._pending.append(
            (
                sample,
                _changed(bare, choices=choices, destination=destination, visibility=shown),
            )
        )

    def _bare_pledge(
        self, sample: Sample, backer: str, method: str, amount_minor: int
    ) -> c.MakePledge:
        return c.MakePledge(
            **_about(sample, f"backer:{backer}"),
            pledge_id=_new_id(),
            backer=backer,
            amount_minor=amount_minor,
            currency=sample.plan.currency,
            payment_method=method,
        )

    def _fill_up(self, sample: Sample, backer: str, method: str) -> None:
        """A last pledge that brings the campaign where the plan wants it."""
        self._hand_in()
        wanted_minor = sample.minor(sample.plan.goal) * sample.plan.percent // 100
        gap_minor = wanted_minor - self._platform.engine.inspect(sample.campaign_id, _pledged)
        if gap_minor > 0:
            self._do(self._bare_pledge(sample, backer, method, gap_minor))

    def _hand_in(self) -> None:
        """Hand in the pledges of some hours together, which is much faster than one by one."""
        pending, self._pending = self._pending, []
        answers = self._platform.engine.submit_many([pledge for _, pledge in pending])
        for (sample, pledge), answer in zip(pending, answers, strict=True):
            if isinstance(answer, SoldOut):
                gift = sample.minor(self._random.choice(sample.plan.gifts))
                bare = {"pledge_id": _new_id(), "choices": (), "amount_minor": gift}
                self._platform.engine.submit(_changed(pledge, **bare))
            elif isinstance(answer, Exception):
                raise answer

    # --- Stories ---------------------------------------------------------------------------------

    def _plan_story(self, sample: Sample) -> None:
        end = sample.end_at
        match sample.plan.story:
            case "live" | "cards_fail" | "submitted" | "resubmitted":
                pass
            case "suspended":
                self._at(self._start_at - DAY_MS, partial(self._suspend, sample))
            case "milestones":
                self._at(end + HOUR_MS, partial(self._open_late, sample))
                self._at(end + 16 * DAY_MS, partial(self._pay_out, sample, 0))
                self._at(end + 35 * DAY_MS, partial(self._pay_out, sample, 1))
                self._at(self._start_at - DAY_MS, partial(self._ask_for_payout, sample, 2))
            case "cancelled_after_payout":
                self._at(end + 16 * DAY_MS, partial(self._pay_out, sample, None, 2, 5))
                self._at(end + 30 * DAY_MS, partial(self._cancel, sample))
            case "completed":
                self._at(end + 16 * DAY_MS, partial(self._pay_out, sample, None))
                self._at(end + 40 * DAY_MS, partial(self._deliver, sample))
            case "half_paid":
                self._at(end + 16 * DAY_MS, partial(self._pay_out, sample, None, 1, 2))
                self._at(end + 90 * DAY_MS, partial(self._deliver, sample))
            case "disputed":
                self._at(end + 16 * DAY_MS, partial(self._pay_out, sample, None, 4, 5))
                self._at(end + 20 * DAY_MS, partial(self._refund, sample))
                self._at(end + 22 * DAY_MS, self._lose_disputes)

    def _suspend(self, sample: Sample) -> None:
        self._do(c.SuspendCampaign(**_about(sample, self._by("staff")), cause="report"))

    def _open_late(self, sample: Sample) -> None:
        self._do(c.OpenLatePledges(**_about(sample, f"creator:{sample.creator}")))

    def _pay_out(
        self, sample: Sample, milestone: int | None, numerator: int = 1, denominator: int = 1
    ) -> None:
        if not milestone:
            self._do(
                c.VerifyPayoutAccount(**_about(sample, self._by("staff")), account_id=_new_id())
            )
        payout_id = self._ask_for_payout(sample, milestone, numerator, denominator)
        treasurer = self._by("treasurer")
        self._do(c.ApprovePayout(**_about(sample, treasurer), payout_id=payout_id))
        self._settle()

    def _ask_for_payout(
        self, sample: Sample, milestone: int | None, numerator: int = 1, denominator: int = 1
    ) -> str:
        payout_id = _new_id()
        milestone_id = "" if milestone is None else sample.milestones[milestone].milestone_id
        self._do(
            c.RequestPayout(
                **_about(sample, f"creator:{sample.creator}"),
                payout_id=payout_id,
                milestone_id=milestone_id,
                numerator=numerator,
                denominator=denominator,
            )
        )
        return payout_id

    def _cancel(self, sample: Sample) -> None:
        self._do(c.CancelCampaign(**_about(sample, self._by("staff")), cause="cannot_deliver"))

    def _deliver(self, sample: Sample) -> None:
        collected = self._platform.engine.inspect(sample.campaign_id, _collected)
        creator = f"creator:{sample.creator}"
        nos = tuple(no for no, _, _ in collected)
        self._do(c.MarkDelivered(**_about(sample, creator), nos=nos))
        for _, pledge_id, backer in collected[: len(collected) * 2 // 3]:
            about = _about(sample, f"backer:{backer}")
            self._do(c.ConfirmReceived(**about, pledge_id=pledge_id))

    def _refund(self, sample: Sample) -> None:
        for no, _, _ in self._platform.engine.inspect(sample.campaign_id, _collected)[5:8]:
            self._do(
                c.RequestRefund(
                    **_about(sample, f"creator:{sample.creator}"),
                    no=no,
                    refund_id=_new_id(),
                    amount_minor=sample.minor(10),
                    cause="goodwill",
                )
            )

    def _lose_disputes(self) -> None:
        bank = self._platform.bank
        for dispute, _ in bank.disputes():
            bank.decide_dispute(dispute.dispute_id, self._clock.now, won=False)
        self._settle()


def _about(sample: Sample, by: str) -> dict[str, Any]:
    return {"campaign_id": sample.campaign_id, "by": by, "command_id": _new_id()}


def _changed(command: c.MakePledge, **changes: object) -> c.MakePledge:
    return msgspec.structs.replace(command, **changes)


def _pledged(state: Campaign) -> int:
    return state.figures.pledged_minor


def _collected(state: Campaign) -> list[tuple[int, str, str]]:
    return [
        (pledge.no, pledge.pledge_id, pledge.backer)
        for pledge in state.pledges
        if pledge.funds is not None
    ]


def _reward(sample: Sample, planned: PlannedReward, text: str) -> Reward:
    fees = (ShippingFee("CN", sample.minor(12)), ShippingFee("*", sample.minor(80)))
    return Reward(
        reward_id=_new_id(),
        price_minor=sample.minor(planned.price),
        limit=planned.limit,
        delivery_at=sample.end_at + planned.delivery * DAY_MS,
        shipping=fees if planned.ships else (),
        add_on=planned.add_on,
        text=text,
    )


def _new_id() -> str:
    return str(uuid.uuid4())
