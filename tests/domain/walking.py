"""Anything that anybody may do to a campaign, given at random to it and to a model of it.

Every step is a rule for Hypothesis, which finds the shortest way to a fault, and a step of long
walks, which go where Hypothesis seldom does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain import commands as c
from domain import errors
from domain import events as e
from domain.campaign import Campaign, decide, evolve, handle, new_campaign
from domain.codec import encode
from domain.invariants import Auditor
from domain.ledger import postings
from domain.terms import Choice
from tests.domain.answers import answer
from tests.domain.model import DAY, QUARTER, RESTING, Model
from tests.domain.scenario import (
    ACCOUNT,
    ANNA,
    APPROVE,
    BANK,
    BEN,
    BOOK,
    CAMPAIGN,
    CLEO,
    CREATOR,
    CREATOR_ID,
    HASH,
    HOURS,
    LAUNCH,
    MILESTONES,
    MUG,
    OTHER_ACCOUNT,
    POSTER,
    STAFF,
    START,
    STICKER,
    SYSTEM,
    TEAM,
    TEAM_ID,
    THE_BOOK,
    THE_MUG,
    THE_POSTER,
    THE_STICKER,
    TREASURER,
    Step,
    a_submission,
    an_id,
    charge,
    decline,
    do,
    refunded,
    sent_out,
    submit,
)

BACKERS = [ANNA, BEN, CLEO, ANNA, BEN, CLEO, CREATOR_ID]
IN_FLIGHT = ("collecting", "unknown")
PAYABLE = ("won", "settled")
MOST_PLEDGES = 8
REPORTS = (
    *(c.RecordCollected, c.RecordActionRequired, c.RecordCollectionUnknown),
    *(c.RecordCollectionFailed, c.RecordRefunded, c.RecordRefundFailed, c.RecordDisputeOpened),
    *(c.RecordDisputeWon, c.RecordDisputeLost, c.RecordPayoutSent, c.RecordPayoutFailed),
    c.RecordPayoutReturned,
)
STRAYS = [
    charge(no=9, amount_minor=7, provider_fee_minor=0),
    decline(no=9),
    refunded(no=9, amount_minor=7),
    do(
        c.RecordDisputeLost,
        BANK,
        no=9,
        dispute_id="dispute/9",
        amount_minor=7,
        provider="test_bank",
        fee_minor=0,
    ),
    sent_out(7, an_id(999)),
    do(c.RecordRefundFailed, BANK, no=9, refund_id=an_id(999), code="closed"),
]
TERMS: dict[str, list[Any]] = {
    "platform_fee_bps": [0, 500, 2_500],
    "processing_fee_bps": [200, 2_500],
    "platform_fee_on_refund": ["platform", "creator"],
    "processing_fee_on_refund": ["platform", "creator"],
    "collect_at": ["success", "pledge"],
    "payout_delay_days": [0, 14],
}
DICE = st.randoms(use_true_random=True)
Doing = Callable[["Walk", Random], None]
Ready = Callable[[Any], Any]
STEPS: list[tuple[Doing, Ready, float]] = []
"""What may happen, when it can, and how often it does."""


def step(ready: Ready = bool, weight: float = 1) -> Callable[[Doing], Doing]:
    """Something that may happen to a campaign: a rule for Hypothesis, and a step of a walk."""

    def as_rule(doing: Doing) -> Doing:
        STEPS.append((doing, ready, weight))
        made: Doing = precondition(ready)(rule(dice=DICE)(doing))
        return made

    return as_rule


class Walk(RuleBasedStateMachine):
    """A campaign, its model and its auditor, and whatever happens to them."""

    def __init__(self) -> None:
        """Begin before the submission."""
        super().__init__()
        self.state: Campaign = new_campaign(CAMPAIGN)
        self.auditor = Auditor(CAMPAIGN)
        self.model: Model
        self.events: list[e.Event] = []
        self.stored: list[bytes] = []
        self.looked_at: Counter[str] = Counter()
        self.replayed: Campaign = new_campaign(CAMPAIGN)
        self.journal: Counter[str] = Counter()
        self.firsts: dict[str, c.MakePledge] = {}
        self.at = START
        self.commands = 5_000

    # --- Giving commands -------------------------------------------------------------------------

    def command(self, step: Step) -> c.Command:
        """The command of a step, with an id of its own."""
        self.commands += 1
        facts = {"campaign_id": CAMPAIGN, "command_id": an_id(self.commands), **step.facts}
        return step.command(by=step.by, **facts)

    def give(self, step: Step) -> list[e.Event]:
        """Give a command to campaign and model, and look at what came of it."""
        command, was = self.command(step), msgspec.json.encode(self.state)
        expected = answer(self.model, command, self.at) if self.events else "any"
        try:
            decided = decide(self.state, command, self.at)
            assert msgspec.json.encode(self.state) == was, "deciding changed the state"
            facts = handle(self.state, command, self.at)
            assert facts[: len(decided)] == decided
            came = "suspense" if _is_odd(facts) else "yes" if facts else "nothing"
        except errors.Rejection:
            facts, came = [], "no"
        except errors.Repeated:
            facts, came = [], "again"
        assert not (came == "no" and isinstance(command, REPORTS)), "a report was refused"
        if not facts:
            assert msgspec.json.encode(self.state) == was, "a refusal changed the state"
        assert expected in (came, "any"), (command, expected, came)
        self.follow(facts)
        for each in facts:
            self.model.learn(each)
            if isinstance(each, e.PledgeMade):
                assert isinstance(command, c.MakePledge)
                self.firsts[each.pledge_id] = command
        return facts

    def follow(self, facts: list[e.Event]) -> None:
        """Add facts to everything that follows them, and look at what they say."""
        self.events += facts
        self.stored += [encode(each) for each in facts]
        for each in facts:
            evolve(self.replayed, each)
            found = self.auditor.feed(each)
            assert found == [], found
            for line in postings(each):
                self.journal[line.account] += line.amount_minor

    # --- Beginning -------------------------------------------------------------------------------

    @initialize(dice=DICE, steps=st.sampled_from([0, 10, 30, 60, 120, 200]))
    def begun(self, dice: Random, steps: int) -> None:
        """A campaign went live, and some things have happened since."""
        self.walk(dice, steps)

    def walk(self, dice: Random, steps: int) -> None:
        """Launch a campaign and let this many things happen to it."""
        model = dice.choice(["all_or_nothing", "flexible"])
        terms = {name: dice.choice(among) for name, among in TERMS.items()}
        terms |= {"collect_at": "pledge"} if model == "flexible" else {}
        rewards = (
            msgspec.structs.replace(THE_MUG, price_minor=5, limit=3),
            msgspec.structs.replace(THE_BOOK, price_minor=10, shipping=THE_BOOK.shipping[:1]),
            msgspec.structs.replace(THE_STICKER, price_minor=1, limit=4),
        )
        changes: dict[str, Any] = {"model": model, "terms": terms, "rewards": rewards}
        changes |= {"goal_minor": dice.choice([20, 60, 150])}
        changes |= {"first_time_creator": dice.random() < 0.2}
        changes |= {"milestones": MILESTONES if dice.random() < 0.2 else ()}
        self.model = Model(a_submission(**changes))
        for each in (submit(**changes), APPROVE, LAUNCH):
            self.follow(handle(self.state, self.command(each), self.at))
        for _ in range(steps):
            able = [(step, weight) for step, ready, weight in STEPS if ready(self)]
            (step,) = dice.choices([step for step, _ in able], [weight for _, weight in able])
            step(self, dice)

    # --- What the steps share --------------------------------------------------------------------

    def has(self, *statuses: str) -> bool:
        """Whether a pledge is in one of these states."""
        return any(each["status"] in statuses for each in self.model.pledges)

    def one(self, dice: Random, *statuses: str) -> dict[str, Any]:
        """A pledge in one of these states; now and then any, and once in a while none."""
        fitting = [each for each in self.model.pledges if each["status"] in statuses]
        if dice.random() < 0.02:
            fitting = self.model.pledges
        none = {"no": 99, "id": an_id(99), "backer": ANNA, "minor": 50, "attempt": 0}
        return dice.choice(fitting) if fitting and dice.random() < 0.99 else none

    def charge(self, pledge: dict[str, Any]) -> None:
        """The provider is asked and charges."""
        no, attempt = pledge["no"], pledge["attempt"] + 1
        if self.give(do(c.RequestCollection, SYSTEM, no=no, attempt=attempt)):
            self.give(charge(no, attempt, pledge["minor"], provider_fee_minor=1))

    def refused(self, step: Step, why: type[errors.Rejection]) -> None:
        """Expect that a command is refused for this reason."""
        with pytest.raises(why):
            decide(self.state, self.command(step), self.at)

    # --- Life of a campaign ----------------------------------------------------------------------

    @step(weight=3)
    def time_passes(self, dice: Random) -> None:
        """Time passes."""
        self.at += dice.choice([0, 1, QUARTER - 1, QUARTER, DAY, DAY, 3 * DAY, 7 * DAY, 14 * DAY])

    @step(lambda self: self.model.phase == "live" and len(self.model.pledges) > 2, weight=0.7)
    def the_deadline_comes(self, dice: Random) -> None:
        """The campaign is closed; sometimes somebody tries before."""
        self.give(do(c.CloseCampaign, SYSTEM))
        self.at = max(self.at, self.model.deadline)
        self.give(do(c.CloseCampaign, SYSTEM))

    @step(lambda self: not self.model.suspended, weight=0.3)
    def suspended(self, dice: Random) -> None:
        """Staff stop the money."""
        self.give(do(c.SuspendCampaign, STAFF, cause="under_review"))

    @step(lambda self: self.model.suspended, weight=4)
    def resumed(self, dice: Random) -> None:
        """The suspension is lifted."""
        self.give(do(c.ResumeCampaign, STAFF))

    @step(lambda self: len(self.events) > 25, weight=0.1)
    def called_off(self, dice: Random) -> None:
        """A campaign that has seen something is called off."""
        self.give(do(c.CancelCampaign, STAFF, cause="creator_unreachable"))

    @step(lambda self: self.model.phase == "live", weight=0.3)
    def deadline_moved(self, dice: Random) -> None:
        """The creator moves the deadline."""
        later = self.model.deadline + dice.randint(-1, 10) * DAY
        self.give(do(c.ExtendDeadline, CREATOR, deadline_at=later))

    @step(lambda self: self.model.phase in ("live", "won"), weight=0.3)
    def late_pledges(self, dice: Random) -> None:
        """The creator opens or closes late pledges."""
        self.give(do(c.CloseLatePledges if self.model.late else c.OpenLatePledges, TEAM))

    @step(lambda self: self.model.phase in PAYABLE and not self.model.plan)
    def planned(self, dice: Random) -> None:
        """The creator says what becomes of less money than the goal."""
        self.give(do(c.UpdatePlan, CREATOR, text=HASH))

    @step(weight=0.2)
    def out_of_turn(self, dice: Random) -> None:
        """Somebody does what is mostly not possible now."""
        update = do(c.PostUpdate, CREATOR, update_id=an_id(90), text=HASH)
        story = do(c.ChangeStory, TEAM, text=HASH)
        late = do(c.CloseLatePledges, TEAM)
        self.give(dice.choice([do(c.LaunchCampaign, CREATOR), APPROVE, update, story, late]))

    # --- Rewards, needs, deliveries --------------------------------------------------------------

    @step(lambda self: self.model.phase in ("live", "won"), weight=0.5)
    def stock_changed(self, dice: Random) -> None:
        """Another limit."""
        facts = {"reward_id": dice.choice([MUG, STICKER]), "limit": dice.choice([None, 1, 2, 4])}
        self.give(do(c.ChangeRewardStock, CREATOR, **facts))

    @step(lambda self: self.model.phase in ("live", "won"), weight=0.3)
    def promise_changed(self, dice: Random) -> None:
        """Another price for the mug."""
        reward = self.model.rewards[MUG]
        reward = msgspec.structs.replace(reward, price_minor=dice.randint(1, 9))
        self.give(do(c.ChangeReward, CREATOR, reward=reward))

    @step(lambda self: POSTER not in self.model.rewards, weight=0.2)
    def reward_added(self, dice: Random) -> None:
        """A poster is offered as well."""
        self.give(do(c.AddReward, CREATOR, reward=THE_POSTER))

    @step(weight=0.4)
    def helped(self, dice: Random) -> None:
        """Somebody helps in kind."""
        offer_id = an_id(70 + dice.randint(0, 2))
        known = self.state.offers.get(offer_id)
        decided: list[type[c.Command]] = [c.AcceptNeed, c.AcceptNeed, c.DeclineNeed]
        if known is None:
            decided = [c.OfferNeed]
        elif known.state == "accepted":
            decided = [c.ReceiveNeed]
        what = dice.choice(decided)
        if what is c.OfferNeed:
            offer = {"offer_id": offer_id, "need_id": HOURS, "quantity": 3}
            self.give(do(what, f"backer:{ANNA}", **offer))
        else:
            self.give(do(what, CREATOR, offer_id=offer_id))

    @step(lambda self: self.has("collected"))
    def delivered(self, dice: Random) -> None:
        """Sent, says the creator; received, says the backer."""
        pledge = self.one(dice, "collected")
        if dice.random() < 0.5:
            self.give(do(c.MarkDelivered, CREATOR, nos=(pledge["no"],)))
        else:
            by = f"backer:{pledge['backer']}"
            self.give(do(c.ConfirmReceived, by, pledge_id=pledge["id"]))

    # --- Pledges ---------------------------------------------------------------------------------

    def choices(self, dice: Random) -> tuple[Choice, ...]:
        """None, one or two rewards."""
        among = dice.sample([MUG, BOOK, STICKER], dice.choice([0, 1, 1, 2]))
        return tuple(Choice(each, dice.choice([1, 1, 2])) for each in among)

    @step(lambda self: self.model.phase == "live" or self.model.late, weight=2)
    def hold(self, dice: Random) -> None:
        """Somebody is at the checkout."""
        who = dice.choice(BACKERS)
        ids = {"hold_id": an_id(80 + dice.randint(0, 5)), "backer": who}
        self.give(do(c.PlaceHold, f"backer:{who}", choices=self.choices(dice), **ids))

    @step(lambda self: self.model.holds)
    def hold_given_up(self, dice: Random) -> None:
        """Somebody left the checkout."""
        hold_id, hold = dice.choice(list(self.model.holds.items()))
        if self.at >= hold["until"]:
            self.give(do(c.LapseHold, SYSTEM, hold_id=hold_id))
        else:
            self.refused(do(c.LapseHold, SYSTEM, hold_id=hold_id), errors.NotYourPledge)
            self.give(do(c.LapseHold, f"backer:{hold['backer']}", hold_id=hold_id))

    @step(
        lambda self: (
            (self.model.phase == "live" or self.model.late)
            and len(self.model.pledges) < MOST_PLEDGES
        ),
        weight=6,
    )
    def pledge(self, dice: Random) -> None:
        """Somebody promises money, for a reward or without."""
        who = dice.choice(BACKERS)
        by = dice.choice([f"backer:{who}"] * 4 + [STAFF, f"backer:{ANNA}"])
        number = len(self.model.pledges) - (dice.random() < 0.1)
        facts: dict[str, Any] = {"pledge_id": an_id(100 + max(0, number)), "backer": who}
        facts |= {
            "currency": "BRL",
            "amount_minor": dice.choice([dice.randint(20, 90), dice.randint(0, 20)]),
        }
        facts |= {"choices": self.choices(dice), "destination": dice.choice(["BR", "BR", "", "CN"])}
        self.give(do(c.MakePledge, by, **facts))

    @step(lambda self: self.has("made"))
    def revise(self, dice: Random) -> None:
        """A backer thinks again."""
        pledge = self.one(dice, "made")
        facts: dict[str, Any] = {"pledge_id": pledge["id"], "amount_minor": dice.randint(0, 90)}
        facts |= {"choices": self.choices(dice), "destination": dice.choice(["BR", "BR", ""])}
        self.give(do(c.RevisePledge, f"backer:{pledge['backer']}", **facts))

    @step(lambda self: self.model.pledges)
    def withdraw(self, dice: Random) -> None:
        """Somebody leaves."""
        pledge = self.one(dice, "made", "failed", "action_required", "collected")
        by = dice.choice([f"backer:{pledge['backer']}"] * 3 + [STAFF, f"backer:{BEN}"])
        self.give(do(c.WithdrawPledge, by, pledge_id=pledge["id"]))

    @step(lambda self: self.has("made", "failed"), weight=0.5)
    def another_card(self, dice: Random) -> None:
        """Somebody names another payment method."""
        pledge = self.one(dice, "made", "failed")
        facts = {"pledge_id": pledge["id"], "payment_method": an_id(95)}
        self.give(do(c.ReplacePaymentMethod, f"backer:{pledge['backer']}", **facts))

    # --- Money in --------------------------------------------------------------------------------

    @step(lambda self: self.has(*RESTING), weight=3)
    def ask(self, dice: Random) -> None:
        """The provider is about to be asked."""
        pledge = self.one(dice, *RESTING)
        attempt = max(1, pledge["attempt"] + dice.choice([1, 1, 1, 1, 0, 2]))
        self.give(do(c.RequestCollection, SYSTEM, no=pledge["no"], attempt=attempt))

    @step(lambda self: self.has(*RESTING), weight=3)
    def asked_and_charged(self, dice: Random) -> None:
        """The provider is asked and charges, as it mostly does."""
        self.charge(self.one(dice, *RESTING))

    @step(lambda self: self.has(*IN_FLIGHT, "collected", "failed"), weight=2)
    def charged(self, dice: Random) -> None:
        """The provider says that it charged, perhaps a second time or another sum."""
        pledge = self.one(dice, *IN_FLIGHT, *IN_FLIGHT, "failed", "collected")
        no, attempt = pledge["no"], max(1, pledge["attempt"] - dice.choice([0, 0, 0, 1]))
        reference = f"charge/{no}/{attempt}{'/again' * (dice.random() < 0.02)}"
        minor = pledge["minor"] + (dice.random() < 0.02)
        self.give(charge(no, attempt, minor, provider_fee_minor=1, reference=reference))

    @step(lambda self: self.has(*IN_FLIGHT, "action_required"), weight=3)
    def not_charged(self, dice: Random) -> None:
        """The provider says something else."""
        pledge = self.one(dice, *IN_FLIGHT, "action_required")
        no, attempt = pledge["no"], max(1, pledge["attempt"])
        what = dice.choice([c.RecordActionRequired, c.RecordCollectionUnknown, None, None])
        report = decline(no, attempt) if what is None else do(what, BANK, no=no, attempt=attempt)
        self.give(report)

    @step(lambda self: self.has("failed", "action_required"))
    def drop(self, dice: Random) -> None:
        """Grace may be over."""
        self.give(do(c.DropPledge, SYSTEM, no=self.one(dice, "failed", "action_required")["no"]))

    # --- Money back ------------------------------------------------------------------------------

    @step(lambda self: self.has("collected", "withdrawn"), weight=2)
    def want_back(self, dice: Random) -> None:
        """Staff decide on a refund."""
        over = ["failed", "cancelled"] if self.model.phase == "over" else ["goodwill"] * 3
        cause = dice.choice([*over, *over, "not_delivered", "failed"])
        number = 300 + len(self.model.refunds) - (dice.random() < 0.1)
        facts: dict[str, Any] = {"refund_id": an_id(number)}
        facts |= {"amount_minor": dice.choice([0, dice.randint(1, 40)]), "cause": cause}
        self.give(
            do(c.RequestRefund, STAFF, no=self.one(dice, "collected", "withdrawn")["no"], **facts)
        )

    @step(lambda self: self.model.refunds, weight=2)
    def refund_reported(self, dice: Random) -> None:
        """The provider says what became of a refund."""
        refund_id, known = dice.choice(list(self.model.refunds.items()))
        if dice.random() < 0.3:
            facts = {"refund_id": refund_id, "code": "account_closed", "no": known["no"]}
            self.give(do(c.RecordRefundFailed, BANK, **facts))
        else:
            reference = f"refund/{refund_id[:8]}{'/again' * (dice.random() < 0.02)}"
            minor = known["minor"] + (dice.random() < 0.02)
            self.give(refunded(known["no"], minor, refund_id, reference=reference))

    @step(lambda self: self.has("collected", "withdrawn"))
    def disputed(self, dice: Random) -> None:
        """A backer's bank takes money back for now."""
        pledge = self.one(dice, "collected", "withdrawn")
        facts = {"no": pledge["no"], "dispute_id": f"dispute/{len(self.model.disputes)}"}
        minor = dice.choice([pledge["minor"], dice.randint(1, 40)])
        facts |= {"amount_minor": minor, "provider": "test_bank"}
        self.give(do(c.RecordDisputeOpened, BANK, **facts))

    @step(lambda self: self.model.disputes)
    def dispute_decided(self, dice: Random) -> None:
        """The bank decides."""
        dispute_id, known = dice.choice(list(self.model.disputes.items()))
        facts = {"no": known["no"], "amount_minor": known["minor"], "provider": "test_bank"}
        if dice.random() < 0.5:
            self.give(do(c.RecordDisputeWon, BANK, dispute_id=dispute_id, **facts))
        else:
            facts |= {"fee_minor": dice.randint(0, 2)}
            self.give(do(c.RecordDisputeLost, BANK, dispute_id=dispute_id, **facts))

    @step(weight=0.05)
    def stray(self, dice: Random) -> None:
        """Now and then the provider reports what nobody knows of."""
        self.give(dice.choice(STRAYS))

    @step(lambda self: self.model.odd, weight=3)
    def settled_with(self, dice: Random) -> None:
        """Staff settle a discrepancy."""
        odd, minor = dice.choice(list(self.model.odd.items()))
        fitting = "returned" if minor else "noted"
        how = dice.choice([fitting] * 4 + ["returned", "written_off", "noted"])
        facts = {"discrepancy_id": odd, "resolution": how}
        self.give(do(c.ResolveDiscrepancy, STAFF, **facts))

    # --- Money out -------------------------------------------------------------------------------

    @step(lambda self: not self.model.account, weight=0.5)
    def verified(self, dice: Random) -> None:
        """An account is verified."""
        self.give(do(c.VerifyPayoutAccount, STAFF, account_id=ACCOUNT))

    @step(lambda self: self.model.account, weight=0.1)
    def account_changed(self, dice: Random) -> None:
        """The creator has another account."""
        account = OTHER_ACCOUNT if self.model.account == ACCOUNT else ACCOUNT
        self.give(do(c.VerifyPayoutAccount, STAFF, account_id=account))

    def a_payout(self, dice: Random) -> str:
        """One of the payouts that were asked for."""
        return dice.choice(list(self.model.payouts))

    def wanted(self, dice: Random, by: str = CREATOR) -> Step:
        """A request for a fraction of a range."""
        last = len(self.model.pledges)
        span = dice.choice([(1, 0, ()), (1, 0, ()), (1, last, (1,)), (2, 0, ()), (1, 2, (2,))])
        facts: dict[str, Any] = {"from_no": span[0], "to_no": span[1], "except_nos": span[2]}
        facts["numerator"], facts["denominator"] = dice.choice([(1, 1), (1, 1), (1, 2), (2, 3)])
        unpaid = self.model.unpaid()
        if unpaid and dice.random() < 0.9:
            facts |= {"milestone_id": unpaid[0].milestone_id}
        return do(c.RequestPayout, by, payout_id=an_id(900 + len(self.model.payouts)), **facts)

    @step(lambda self: self.model.phase in PAYABLE, weight=2)
    def want_out(self, dice: Random) -> None:
        """The creator's side asks for a payout; a backer never may."""
        step = self.wanted(dice, dice.choice([CREATOR, TEAM, STAFF]))
        self.refused(step._replace(by=f"backer:{ANNA}"), errors.NotAllowed)
        self.give(step)

    @step(lambda self: self.model.payouts, weight=2)
    def let_out(self, dice: Random) -> None:
        """Somebody approves it."""
        strangers = [STAFF, f"treasurer:{TEAM_ID}", f"treasurer:{STAFF[6:]}"]
        by = dice.choice([TREASURER] * 4 + strangers)
        self.give(do(c.ApprovePayout, by, payout_id=self.a_payout(dice)))

    @step(lambda self: self.model.payouts, weight=0.5)
    def taken_back(self, dice: Random) -> None:
        """An approved payout is revoked, where nothing may be sent."""
        self.give(do(c.RevokePayout, TREASURER, payout_id=self.a_payout(dice)))

    @step(lambda self: self.model.payouts, weight=0.5)
    def not_let_out(self, dice: Random) -> None:
        """The treasurer refuses it."""
        facts = {"payout_id": self.a_payout(dice), "cause": "plan_unclear"}
        self.give(do(c.RefusePayout, TREASURER, **facts))

    @step(lambda self: self.model.payouts, weight=2)
    def payout_reported(self, dice: Random) -> None:
        """The provider says what became of a payout."""
        payout_id, what = self.a_payout(dice), dice.choice(["sent", "sent", "failed", "returned"])
        known = self.model.payouts[payout_id]
        minor = known["minor"] - known["debt"] + (dice.random() < 0.02)
        again = "/again" * (dice.random() < 0.02)
        report = {"payout_id": payout_id, "reference": f"{what}/{payout_id[:8]}{again}"}
        if what == "sent":
            self.give(sent_out(minor, **report))
        elif what == "failed":
            facts = {"payout_id": payout_id, "code": "account_closed"}
            self.give(do(c.RecordPayoutFailed, BANK, **facts))
        else:
            facts = {"amount_minor": minor, "provider": "test_bank", **report}
            self.give(do(c.RecordPayoutReturned, BANK, **facts))

    @step(lambda self: self.model.phase in PAYABLE, weight=2)
    def paid_out(self, dice: Random) -> None:
        """A payout goes the whole way, as it mostly does."""
        if not self.model.account:
            self.give(do(c.VerifyPayoutAccount, STAFF, account_id=ACCOUNT))
        delay = self.model.terms.payout_delay_days * DAY
        due = max(self.at, self.model.won_at + delay, self.model.account_at)
        self.at = max(self.at, due - 1)
        self.give(self.wanted(dice))
        self.at = due
        step = self.wanted(dice)
        payout_id = step.facts["payout_id"]
        self.give(step)
        if self.give(do(c.ApprovePayout, TREASURER, payout_id=payout_id)):
            payout = self.model.payouts[payout_id]
            reference = f"sent/{payout_id[:8]}"
            cash_minor = payout["minor"] - payout["debt"]
            self.give(sent_out(cash_minor, payout_id, reference=reference))

    @step(lambda self: self.model.owed)
    def debt_settled(self, dice: Random) -> None:
        """The creator pays back, or the treasurer writes off."""
        minor = dice.choice([self.model.owed, dice.randint(0, 40)])
        if dice.random() < 0.5:
            reference = f"transfer/{len(self.model.repaid) + dice.choice([0, 1])}"
            facts = {"amount_minor": minor, "provider": "test_bank", "reference": reference}
            self.give(do(c.RecordRepayment, STAFF, **facts))
        else:
            self.give(do(c.WriteOffDebt, TREASURER, amount_minor=minor))


def _is_odd(facts: list[e.Event]) -> bool:
    return any(isinstance(each, e.DiscrepancyRecorded) for each in facts)
