"""Whole lives of a few campaigns, by chance: real commands through the real rules.

What a rule refuses is passed over, so every event that comes out is one that the log could hold.
"""
# ruff: noqa: ANN401 - steps hold the facts of any command

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

from hypothesis import settings

from domain import commands as c
from domain import errors, subject
from domain import events as e
from domain.campaign import Campaign, handle, new_campaign
from domain.codec import encode, tag_of
from domain.state import OPEN, Status
from domain.subject import Subject
from domain.terms import DAY_MS, Choice, Milestone, Need, Reward, ShippingFee, Submission, Terms

START: Final = 1_700_000_000_000
HASH: Final = "0123456789abcdef" * 4
BANK: Final = "provider:test_bank"


class Row(NamedTuple):
    """A fact as the log gives it."""

    position: int
    tag: str
    body: bytes


class Log:
    """A log in memory."""

    log_id = "00000000-0000-4000-8000-000000000000"

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def append(self, events: list[e.Event]) -> None:
        """Add facts at the end."""
        for event in events:
            self.rows.append(Row(len(self.rows) + 1, tag_of(event), encode(event)))

    def read(self, after: int, limit: int) -> list[Row]:
        """The rows after a position."""
        return self.rows[after : after + limit]

    def wait(self, _after: int, _timeout: float) -> int:
        """Where the log ends; a log in memory is never waited for."""
        return len(self.rows)


class History:
    """A log and the states that its campaigns are in."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.log = Log()
        self.campaigns: list[Campaign] = []
        self.at = START
        self._ids = 0
        self.backers = [self.new_id() for _ in range(5)]
        self.staff = f"staff:{self.new_id()}"
        self.treasurer = f"treasurer:{self.new_id()}"

    def new_id(self) -> str:
        """Another id, as good as random."""
        self._ids += 1
        spread = self._ids * 2_654_435_761 % 2**32
        return f"{spread:08x}-{self._ids % 2**16:04x}-4c0f-8e2b-{self._ids:012x}"

    def do(self, state: Campaign, kind: type[c.Command], by: str, **facts: Any) -> list[e.Event]:
        """Give a command; nothing happens where a rule refuses it."""
        command = kind(campaign_id=state.campaign_id, by=by, command_id=self.new_id(), **facts)
        try:
            events = handle(state, command, self.at)
        except (errors.Rejection, errors.Repeated):
            return []
        self.log.append(events)
        return events

    def open_campaign(self, **changes: Any) -> Campaign:
        """A campaign from its submission to its launch."""
        state = new_campaign(self.new_id())
        self.campaigns.append(state)
        creator = self.new_id()
        submission = self.submission(creator, **changes)
        by, channel = f"creator:{creator}", self.new_id()
        self.do(state, c.SubmitCampaign, by, channel=channel, submission=submission)
        if self.chance.random() < 0.2:
            self.do(state, c.ReturnCampaign, self.staff, text=HASH)
            again = self.submission(creator, **changes)
            self.do(state, c.ResubmitCampaign, by, submission=again)
        self.do(state, c.ApproveCampaign, self.staff)
        self.do(state, c.LaunchCampaign, by)
        return state

    def submission(self, creator: str, **changes: Any) -> Submission:
        """What a creator hands in."""
        chance = self.chance
        flexible = chance.random() < 0.4
        early = flexible or chance.random() < 0.3
        terms = Terms(
            collect_at="pledge" if early else "success",
            platform_fee_bps=chance.choice((0, 333, 500)),
            processing_fee_bps=chance.choice((0, 145, 290)),
            platform_fee_on_refund=chance.choice(("platform", "creator")),
            processing_fee_on_refund=chance.choice(("platform", "creator")),
            retry_after_days=(1, 2),
            grace_days=chance.choice((0, 2)),
            withdrawal_days=chance.choice((0, 14)),
            payout_delay_days=chance.choice((0, 1)),
            account_wait_days=1,
            reserve_bps=chance.choice((0, 1000)),
            reserve_days=10,
        )
        halves = tuple(Milestone(milestone_id=self.new_id(), share_bps=5000) for _ in range(2))
        facts: dict[str, Any] = {
            "creator": creator,
            "model": "flexible" if flexible else "all_or_nothing",
            "currency": chance.choice(("BRL", "JPY")),
            "goal_minor": chance.choice((1, 500, 5_000)),
            "deadline_at": self.at + chance.choice((2, 10)) * DAY_MS,
            "terms": terms,
            "text": HASH,
            "rewards": (
                Reward(reward_id=self.new_id(), price_minor=101, limit=6, text=HASH),
                Reward(
                    reward_id=self.new_id(),
                    price_minor=57,
                    shipping=(ShippingFee("BR", 10), ShippingFee("*", 20)),
                ),
                Reward(reward_id=self.new_id(), price_minor=5, add_on=True, limit=30),
            ),
            "needs": (Need(need_id=self.new_id(), quantity=40, text=HASH),),
            "milestones": halves if chance.random() < 0.3 else (),
            "first_time_creator": chance.random() < 0.5,
        }
        return Submission(**(facts | changes))

    def go_on(self, steps: int) -> None:
        """Let this many things be tried."""
        for _ in range(steps):
            self.at += self.chance.choice((0, 1, 1000, 600_000, 3_600_000))
            state = self.chance.choice(self.campaigns)
            self.chance.choice(STEPS)(self, state)

    # --- What can be chosen ----------------------------------------------------------------------

    def by_creator(self, state: Campaign) -> str:
        """The creator, or staff for them."""
        return self.chance.choice((f"creator:{state.bound.creator}", self.staff))

    def some_no(self, state: Campaign) -> int:
        """A pledge's number, mostly one that there is."""
        return self.chance.randint(1, max(1, len(state.pledges) + self.chance.choice((0, 0, 1))))

    def some_choices(self, state: Campaign) -> tuple[Choice, ...]:
        """Rewards, or none."""
        known = list(state.stocks)
        picked = [self.chance.choice(known) for _ in range(self.chance.choice((0, 1, 1, 2)))]
        return tuple(Choice(each, self.chance.choice((1, 1, 2))) for each in dict.fromkeys(picked))

    def reference(self) -> str:
        """What the provider calls it."""
        return f"ref_{self.new_id()}"


def part_of_the_examples(share: int) -> settings:
    """A history holds hundreds of facts: fewer of them than of the small examples of the rules."""
    return settings(max_examples=max(1, (settings.default or settings()).max_examples // share))


def some_history(chance: Random, campaigns: int = 2, steps: int = 250) -> History:
    """A history of some campaigns."""
    history = History(chance)
    for _ in range(campaigns):
        history.open_campaign()
    history.go_on(steps)
    return history


# --- Steps ---------------------------------------------------------------------------------------


def _pledge(h: History, s: Campaign) -> None:
    backer = h.chance.choice(h.backers)
    by = h.chance.choice((f"backer:{backer}", "system:import"))
    h.do(
        s,
        c.MakePledge,
        by,
        pledge_id=h.new_id(),
        backer=backer,
        amount_minor=h.chance.choice((1, 99, 333, 1_000)),
        choices=h.some_choices(s),
        destination=h.chance.choice(("BR", "US")),
        visibility=h.chance.choice(("name", "hidden")),
    )


def _hold(h: History, s: Campaign) -> None:
    backer = h.chance.choice(h.backers)
    facts = {"hold_id": h.new_id(), "backer": backer, "choices": h.some_choices(s)}
    h.do(s, c.PlaceHold, f"backer:{backer}", **facts)


def _lapse(h: History, s: Campaign) -> None:
    if s.holds:
        hold_id = h.chance.choice(list(s.holds))
        h.do(s, c.LapseHold, f"backer:{s.holds[hold_id].backer}", hold_id=hold_id)


def _revise(h: History, s: Campaign) -> None:
    if s.pledges:
        pledge = h.chance.choice(s.pledges)
        facts = {"pledge_id": pledge.pledge_id, "choices": h.some_choices(s), "destination": "BR"}
        amount_minor = h.chance.choice((200, 555))
        by = f"backer:{pledge.backer}"
        h.do(s, c.RevisePledge, by, amount_minor=amount_minor, **facts)


def _withdraw(h: History, s: Campaign) -> None:
    if s.pledges:
        pledge = h.chance.choice(s.pledges)
        by = h.chance.choice((f"backer:{pledge.backer}", h.staff))
        h.do(s, c.WithdrawPledge, by, pledge_id=pledge.pledge_id)


def _other_card(h: History, s: Campaign) -> None:
    if s.pledges:
        pledge = h.chance.choice(s.pledges)
        facts = {"pledge_id": pledge.pledge_id, "payment_method": h.new_id()}
        h.do(s, c.ReplacePaymentMethod, f"backer:{pledge.backer}", **facts)


def _collect(h: History, s: Campaign) -> None:
    """Ask for every open charge, and hear all kinds of answers."""
    for pledge in s.pledges:
        if pledge.status in OPEN:
            h.do(s, c.RequestCollection, "system:collect", no=pledge.no, attempt=pledge.attempt + 1)
            _answer(h, s, pledge.no)


def _answer(h: History, s: Campaign, no: int) -> None:
    pledge = s.pledges[no - 1]
    facts = {"no": no, "attempt": pledge.attempt}
    match h.chance.randrange(12):
        case 0:
            h.do(s, c.RecordActionRequired, BANK, **facts)
        case 1:
            h.do(s, c.RecordCollectionUnknown, BANK, **facts)
        case 2:
            declined = {"code": "insufficient_funds", "retryable": h.chance.random() < 0.7}
            reported = {"provider": "test_bank", "reference": h.reference()}
            h.do(s, c.RecordCollectionFailed, BANK, **facts, **declined, **reported)
        case 3:
            pass
        case _:
            h.do(
                s,
                c.RecordCollected,
                BANK,
                **facts,
                amount_minor=pledge.amount_minor + (h.chance.random() < 0.03),
                provider="test_bank",
                reference=h.reference(),
                provider_fee_minor=min(3, pledge.amount_minor),
            )


def _late_answer(h: History, s: Campaign) -> None:
    waiting = [pledge.no for pledge in s.pledges if pledge.status in OPEN and pledge.attempt]
    if waiting:
        _answer(h, s, h.chance.choice(waiting))


def _drop(h: History, s: Campaign) -> None:
    for pledge in s.pledges:
        if pledge.status in (Status.FAILED, Status.ACTION_REQUIRED):
            h.do(s, c.DropPledge, "system:collect", no=pledge.no)


def _close(h: History, s: Campaign) -> None:
    if len(s.pledges) < 4 and h.chance.random() < 0.9:
        return
    h.at = max(h.at, s.deadline_at)
    h.do(s, c.CloseCampaign, "system:deadlines")
    if h.chance.random() < 0.3:
        h.do(s, c.OpenLatePledges, h.by_creator(s))


def _cancel(h: History, s: Campaign) -> None:
    if h.chance.random() < 0.7:
        return
    for pledge in s.pledges:  # some charges are under way when it is called off
        h.do(s, c.RequestCollection, "system:collect", no=pledge.no, attempt=pledge.attempt + 1)
    h.do(s, c.CancelCampaign, h.by_creator(s), cause="change_of_mind")
    _late_answer(h, s)


def _life(h: History, s: Campaign) -> None:
    creator = h.by_creator(s)
    if s.suspended and h.chance.random() < 0.7:
        h.do(s, c.ResumeCampaign, h.staff)
    match h.chance.randrange(7):
        case 0 if not s.suspended:
            h.do(s, c.SuspendCampaign, h.staff, cause="review")
        case 1:
            h.do(s, c.ExtendDeadline, creator, deadline_at=s.deadline_at + DAY_MS)
        case 2:
            h.do(s, c.OpenLatePledges, creator)
        case 3:
            h.do(s, c.CloseLatePledges, creator)
        case 4:
            h.do(s, c.PostUpdate, creator, update_id=h.new_id(), text=HASH)
        case 5:
            h.do(s, c.ChangeStory, creator, text=h.new_id().replace("-", "") * 2)
        case _:
            h.do(s, c.UpdatePlan, creator, text=HASH)


def _rewards(h: History, s: Campaign) -> None:
    creator, known = h.by_creator(s), h.chance.choice(list(s.stocks))
    fresh = Reward(reward_id=h.new_id(), price_minor=70, limit=3)
    match h.chance.randrange(3):
        case 0:
            h.do(s, c.AddReward, creator, reward=fresh)
        case 1:
            other = Reward(reward_id=known, price_minor=71, limit=4)
            h.do(s, c.ChangeReward, creator, reward=other)
        case _:
            limit = h.chance.choice((None, 9, 2))
            h.do(s, c.ChangeRewardStock, creator, reward_id=known, limit=limit)


def _needs(h: History, s: Campaign) -> None:
    by, need_id = f"backer:{h.chance.choice(h.backers)}", s.bound.needs[0].need_id
    h.do(s, c.OfferNeed, by, offer_id=h.new_id(), need_id=need_id, quantity=3)
    offer_id = h.chance.choice(list(s.offers)) if s.offers else h.new_id()
    for decision in h.chance.choice(((c.AcceptNeed, c.ReceiveNeed), (c.DeclineNeed,))):
        h.do(s, decision, h.by_creator(s), offer_id=offer_id)


def _ask_refund(h: History, s: Campaign) -> None:
    by, cause = h.by_creator(s), h.chance.choice(("goodwill", "not_delivered", "cancelled"))
    facts = {"no": h.some_no(s), "refund_id": h.new_id(), "cause": cause}
    h.do(s, c.RequestRefund, by, amount_minor=h.chance.choice((0, 1, 50)), **facts)


def _end_refund(h: History, s: Campaign) -> None:
    for refund_id, refund in s.refunds.items():
        if refund.state != "requested" or h.chance.random() < 0.3:
            continue
        facts = {"no": refund.no, "refund_id": refund_id}
        if h.chance.random() < 0.2:
            h.do(s, c.RecordRefundFailed, BANK, **facts, code="closed_account")
        else:
            reported = {"provider": "test_bank", "reference": h.reference()}
            amount_minor = refund.amount_minor
            h.do(s, c.RecordRefunded, BANK, **facts, amount_minor=amount_minor, **reported)


def _dispute(h: History, s: Campaign) -> None:
    charged = [pledge.no for pledge in s.pledges if pledge.funds]
    no = h.chance.choice(charged) if charged else h.some_no(s)
    pledge = s.pledge(no)
    whole_minor = pledge.funds.collected_minor if pledge and pledge.funds else 10
    if not charged and h.chance.random() < 0.9:
        return
    facts = {"no": no, "dispute_id": h.new_id(), "provider": "test_bank"}
    amount_minor = h.chance.choice((whole_minor, 1))
    h.do(s, c.RecordDisputeOpened, BANK, amount_minor=amount_minor, **facts)


def _end_dispute(h: History, s: Campaign) -> None:
    for dispute_id, dispute in s.disputes.items():
        if dispute.state != "open":
            continue
        facts = {"no": dispute.no, "dispute_id": dispute_id, "provider": "test_bank"}
        if h.chance.random() < 0.4:
            h.do(s, c.RecordDisputeWon, BANK, **facts, amount_minor=dispute.amount_minor)
        else:
            lost = {"amount_minor": dispute.amount_minor, "fee_minor": 15}
            h.do(s, c.RecordDisputeLost, BANK, **facts, **lost)


def _deliver(h: History, s: Campaign) -> None:
    nos = tuple(p.no for p in s.pledges if p.status is Status.COLLECTED and p.no % 2)
    h.do(s, c.MarkDelivered, h.by_creator(s), nos=nos)
    if s.pledges:
        pledge = h.chance.choice(s.pledges)
        by = f"backer:{pledge.backer}"
        h.do(s, c.ConfirmReceived, by, pledge_id=pledge.pledge_id)


def _pay_out(h: History, s: Campaign) -> None:
    h.do(s, c.VerifyPayoutAccount, h.staff, account_id=s.account_id or h.new_id())
    payout_id, last = h.new_id(), len(s.pledges)
    paid = {p.milestone_id for p in s.payouts.values() if p.state in ("approved", "sent")}
    waiting = [m.milestone_id for m in s.bound.milestones if m.milestone_id not in paid]
    milestone_id = waiting[0] if waiting else ""
    facts: dict[str, Any] = {"payout_id": payout_id, "milestone_id": milestone_id}
    if h.chance.random() < 0.5:
        facts |= {"numerator": 1, "denominator": 3, "to_no": max(1, last - 1)}
    if last > 2:
        facts |= {"except_nos": (2,)}
    h.do(s, c.RequestPayout, h.by_creator(s), **facts)
    if h.chance.random() < 0.15:
        h.do(s, c.RefusePayout, h.treasurer, payout_id=payout_id, cause="unclear")
    h.do(s, c.ApprovePayout, h.treasurer, payout_id=payout_id)


def _end_payout(h: History, s: Campaign) -> None:
    for payout_id, payout in s.payouts.items():
        cash_minor = payout.amount_minor - payout.debt_minor
        reported = {"provider": "test_bank", "reference": h.reference()}
        if payout.state == "approved" and h.chance.random() < 0.4:
            h.do(s, c.RecordPayoutFailed, BANK, payout_id=payout_id, code="wrong_account")
        elif payout.state == "approved":
            facts = {"payout_id": payout_id, "amount_minor": cash_minor}
            h.do(s, c.RecordPayoutSent, BANK, **facts, **reported)
        elif payout.state == "sent" and h.chance.random() < 0.25:
            facts = {"payout_id": payout_id, "amount_minor": cash_minor}
            h.do(s, c.RecordPayoutReturned, BANK, **facts, **reported)


def _debt(h: History, s: Campaign) -> None:
    owed_minor = s.figures.owed_minor
    if owed_minor and h.chance.random() < 0.4:
        return
    if owed_minor and h.chance.random() < 0.5:
        reported = {"provider": "test_bank", "reference": h.reference()}
        h.do(s, c.RecordRepayment, h.staff, amount_minor=(owed_minor + 1) // 2, **reported)
    elif owed_minor:
        h.do(s, c.WriteOffDebt, h.treasurer, amount_minor=owed_minor)


def _resolve(h: History, s: Campaign) -> None:
    for discrepancy_id, found in s.discrepancies.items():
        if found.open:
            fits = ("returned", "written_off") if found.amount_minor < 0 else ("returned",)
            resolution = h.chance.choice(fits) if found.amount_minor else "noted"
            facts = {"discrepancy_id": discrepancy_id, "resolution": resolution}
            h.do(s, c.ResolveDiscrepancy, h.treasurer, **facts)


def _erase(h: History, _: Campaign) -> None:
    """Somebody is forgotten: of no campaign, and among them all."""
    asked = c.EraseSubject(party=h.new_id(), by="system:erasure", command_id=h.new_id())
    h.log.append(subject.handle(Subject(asked.party), asked, h.at))


_WEIGHED: Final[tuple[tuple[int, Callable[[History, Campaign], None]], ...]] = (
    (24, _pledge),
    (3, _hold),
    (2, _lapse),
    (3, _revise),
    (3, _withdraw),
    (1, _other_card),
    (6, _collect),
    (3, _late_answer),
    (3, _drop),
    (2, _close),
    (2, _cancel),
    (4, _life),
    (3, _rewards),
    (2, _needs),
    (5, _ask_refund),
    (5, _end_refund),
    (4, _dispute),
    (3, _end_dispute),
    (3, _deliver),
    (8, _pay_out),
    (6, _end_payout),
    (2, _debt),
    (3, _resolve),
    (1, _erase),
)
STEPS: Final = [step for weight, step in _WEIGHED for _ in range(weight)]
