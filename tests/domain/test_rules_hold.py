"""The thirteen rules hold after every fact, whatever anybody does in whatever order.

Hypothesis gives commands at random to a campaign, to a plain model of it, and to an auditor. What
the model expects of a command has to come of it, the sums of both have to be the same, and each
rule is looked at once more by itself after every step (`rule_1` to `rule_13`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain import commands as c
from domain import errors
from domain import events as e
from domain.campaign import Campaign, decide, evolve, handle, new_campaign
from domain.codec import encode
from domain.invariants import Auditor, check_whole
from domain.ledger import postings
from domain.terms import Choice
from tests.domain.answers import answer
from tests.domain.model import DAY, QUARTER, Model, rounded
from tests.domain.scenario import (
    ACCOUNT,
    ANNA,
    APPROVE,
    BEN,
    BOOK,
    CAMPAIGN,
    CLEO,
    CREATOR,
    CREATOR_ID,
    HASH,
    HOURS,
    LAUNCH,
    MUG,
    OTHER_ACCOUNT,
    STAFF,
    START,
    STICKER,
    SYSTEM,
    TEAM,
    TEAM_ID,
    THE_BOOK,
    THE_MUG,
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

BACKERS = st.sampled_from([ANNA, BEN, CLEO, ANNA, BEN, CREATOR_ID])
IDS = st.integers(0, 5)
IN_FLIGHT = ("collecting", "unknown")
PAYABLE = ("won", "settled")
AMOUNTS = st.one_of(st.integers(20, 60), st.integers(0, 20), st.just(1_300))
CHOICES = st.lists(
    st.builds(Choice, st.sampled_from([MUG, BOOK, STICKER]), st.integers(1, 2)),
    max_size=2,
    unique_by=lambda choice: choice.reward_id,
).map(tuple)
WAITS = st.sampled_from([0, 1, QUARTER - 1, QUARTER, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 90 * DAY])
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
        "provider:test_bank",
        no=9,
        dispute_id="dispute/9",
        amount_minor=7,
        provider="test_bank",
        fee_minor=0,
    ),
    sent_out(7, an_id(999)),
    do(c.RecordRefundFailed, "provider:test_bank", no=9, refund_id=an_id(999), code="closed"),
]
TERMS = st.fixed_dictionaries(
    {
        "platform_fee_bps": st.sampled_from([0, 500, 2_500]),
        "processing_fee_bps": st.sampled_from([200, 2_500]),
        "platform_fee_on_refund": st.sampled_from(["platform", "creator"]),
        "processing_fee_on_refund": st.sampled_from(["platform", "creator"]),
        "collect_at": st.sampled_from(["success", "pledge"]),
        "payout_delay_days": st.sampled_from([0, 14]),
    }
)
PLAIN = re.compile(
    r"(?:[a-z]+:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|"
    r"(?:system:|provider:)?[a-z_]+|[A-Z]{2,3}|[a-z_]+\.[a-z_]+\.v1|\*|"
)
REFERENCE = re.compile(r"[A-Za-z0-9/_-]*")


def leaves(told: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Every value of a fact with the name of its field, however deep."""
    if isinstance(told, dict):
        for key, inner in told.items():
            yield from leaves(inner, key)
    elif isinstance(told, list | tuple):
        for inner in told:
            yield from leaves(inner, name)
    else:
        yield name, told


class CampaignLife(RuleBasedStateMachine):
    """Anything that anybody may do to a campaign, and everything that must hold after it."""

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

    @initialize(
        model=st.sampled_from(["all_or_nothing", "flexible"]),
        terms=TERMS,
        goal=st.sampled_from([20, 60, 500]),
        first_time=st.sampled_from([False, False, True]),
        amounts=st.lists(st.integers(8, 90), min_size=2, max_size=3),
        stage=st.sampled_from(["paid", "charged", "closed", "live", "live"]),
    )
    def begun(
        self,
        model: str,
        terms: dict[str, Any],
        goal: int,
        first_time: bool,
        amounts: list[int],
        stage: str,
    ) -> None:
        """A campaign is live, or some way further already."""
        terms = terms | ({"collect_at": "pledge"} if model == "flexible" else {})
        rewards = (
            msgspec.structs.replace(THE_MUG, price_minor=5, limit=3),
            msgspec.structs.replace(THE_BOOK, price_minor=10, shipping=THE_BOOK.shipping[:1]),
            msgspec.structs.replace(THE_STICKER, price_minor=1, limit=4),
        )
        changes = {"model": model, "terms": terms, "goal_minor": goal, "rewards": rewards}
        changes |= {"first_time_creator": first_time}
        self.model = Model(a_submission(**changes))
        for each in (submit(**changes), APPROVE, LAUNCH):
            self.follow(handle(self.state, self.command(each), self.at))
        for number, (who, minor) in enumerate(zip((ANNA, BEN, CLEO), amounts, strict=False)):
            self.promise(who, number, minor)
        if terms["collect_at"] == "pledge":
            self.charge_all()
        if stage != "live":
            self.the_deadline_comes()
        if stage in ("charged", "paid"):
            self.charge_all()
        if stage == "paid":
            self.paid_out(0, (1, 2))

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

    def charge_all(self) -> None:
        """Every pledge that can be charged is charged."""
        for pledge in self.model.pledges:
            if pledge["status"] == "made":
                self.charge(pledge["no"])

    def charge(self, no: int) -> None:
        """The provider is asked and charges."""
        attempt = self.next_attempt(no)
        if self.give(do(c.RequestCollection, SYSTEM, no=no, attempt=attempt)):
            self.give(charge(no, attempt, self.promised(no), provider_fee_minor=1))

    def next_attempt(self, no: int) -> int:
        """The attempt that comes next for a pledge."""
        known = no <= len(self.model.pledges)
        return int(self.model.pledges[no - 1]["attempt"]) + 1 if known else 1

    def promised(self, no: int) -> int:
        """What a pledge promises."""
        known = 1 <= no <= len(self.model.pledges)
        return int(self.model.pledges[no - 1]["minor"]) if known else 50

    def one(self, data: st.DataObject, statuses: Iterable[str], otherwise: int = 9) -> int:
        """The number of a pledge in one of these states, mostly."""
        fitting = [each["no"] for each in self.model.pledges if each["status"] in statuses]
        return data.draw(st.sampled_from([*fitting * 4, otherwise]), label="no")

    def id_of(self, no: int) -> str:
        """The id of a pledge by its number."""
        known = no <= len(self.model.pledges)
        return str(self.model.pledges[no - 1]["id"]) if known else an_id(199)

    def owner(self, no: int) -> str:
        """Whose pledge it is."""
        known = no <= len(self.model.pledges)
        return f"backer:{self.model.pledges[no - 1]['backer'] if known else ANNA}"

    def has(self, *statuses: str) -> bool:
        """Whether a pledge is in one of these states."""
        return any(each["status"] in statuses for each in self.model.pledges)

    # --- What may happen -------------------------------------------------------------------------

    @rule(ms=WAITS)
    def time_passes(self, ms: int) -> None:
        """Time passes."""
        self.at += ms

    @precondition(lambda self: self.model.phase == "live" and len(self.model.pledges) > 1)
    @rule()
    def the_deadline_comes(self) -> None:
        """The campaign is closed."""
        self.at = max(self.at, self.model.deadline)
        self.give(do(c.CloseCampaign, SYSTEM))

    @precondition(lambda self: self.model.phase == "won")
    @rule()
    def late_pledges(self) -> None:
        """The creator opens or closes late pledges."""
        self.give(do(c.CloseLatePledges if self.model.late else c.OpenLatePledges, TEAM))

    @precondition(lambda self: self.model.phase in PAYABLE and not self.model.plan)
    @rule()
    def planned(self) -> None:
        """The creator says what becomes of less money than the goal."""
        self.give(do(c.UpdatePlan, CREATOR, text=HASH))

    @rule(
        command=st.sampled_from(
            [
                do(c.SuspendCampaign, STAFF, cause="under_review"),
                do(c.CloseCampaign, SYSTEM),
                do(c.CloseLatePledges, TEAM),
                do(c.PostUpdate, CREATOR, update_id=an_id(90), text=HASH),
                do(c.LaunchCampaign, CREATOR),
                APPROVE,
            ]
        )
    )
    def life(self, command: Step) -> None:
        """Something in a campaign's life."""
        self.give(command)

    @precondition(lambda self: self.model.suspended)
    @rule()
    def resumed(self) -> None:
        """The suspension is lifted."""
        self.give(do(c.ResumeCampaign, STAFF))

    @precondition(lambda self: len(self.events) > 25)
    @rule()
    def called_off(self) -> None:
        """A campaign that has seen something is called off."""
        self.give(do(c.CancelCampaign, STAFF, cause="creator_unreachable"))

    @precondition(lambda self: self.model.phase == "live" and not self.model.moved)
    @rule(days=st.integers(-1, 10))
    def deadline_moved(self, days: int) -> None:
        """The creator moves the deadline."""
        later = self.model.deadline + days * DAY
        self.give(do(c.ExtendDeadline, CREATOR, deadline_at=later))

    @rule(reward=st.sampled_from([MUG, STICKER]), limit=st.one_of(st.none(), st.integers(1, 6)))
    def stock_changed(self, reward: str, limit: int | None) -> None:
        """Another limit."""
        self.give(do(c.ChangeRewardStock, CREATOR, reward_id=reward, limit=limit))

    @rule(price=st.integers(1, 9))
    def promise_changed(self, price: int) -> None:
        """Another price for the mug."""
        reward = msgspec.structs.replace(self.model.rewards[MUG], price_minor=price)
        self.give(do(c.ChangeReward, CREATOR, reward=reward))

    @precondition(lambda self: self.model.phase == "live" or self.model.late)
    @rule(who=BACKERS, number=IDS, choices=CHOICES)
    def hold(self, who: str, number: int, choices: tuple[Choice, ...]) -> None:
        """Somebody is at the checkout."""
        ids = {"hold_id": an_id(80 + number), "backer": who}
        self.give(do(c.PlaceHold, f"backer:{who}", choices=choices, **ids))

    @precondition(lambda self: self.model.holds)
    @rule(number=IDS, who=BACKERS)
    def hold_given_up(self, number: int, who: str) -> None:
        """Somebody left the checkout."""
        self.give(do(c.LapseHold, f"backer:{who}", hold_id=an_id(80 + number)))

    def promise(self, who: str, number: int, minor: int, **facts: Any) -> None:  # noqa: ANN401
        """Somebody promises money."""
        facts = {"pledge_id": an_id(100 + number), "amount_minor": minor, "backer": who, **facts}
        by = facts.pop("by", "") or f"backer:{who}"
        self.give(do(c.MakePledge, by, currency="BRL", **facts))

    @precondition(lambda self: self.model.phase == "live" or self.model.late)
    @precondition(lambda self: len(self.model.pledges) < 8)
    @rule(
        who=BACKERS,
        again=st.sampled_from([0, 0, 0, 0, 1]),
        minor=AMOUNTS,
        choices=CHOICES,
        destination=st.sampled_from(["BR", "BR", "BR", "", "CN"]),
        by=st.sampled_from(["", "", "", STAFF, f"backer:{ANNA}"]),
    )
    def pledge(
        self,
        who: str,
        again: int,
        minor: int,
        choices: tuple[Choice, ...],
        destination: str,
        by: str,
    ) -> None:
        """Somebody promises money, for a reward or without."""
        number = max(0, min(7, len(self.model.pledges)) - again)
        self.promise(who, number, minor, choices=choices, destination=destination, by=by)

    @precondition(lambda self: self.has("made"))
    @rule(
        data=st.data(),
        minor=AMOUNTS,
        choices=CHOICES,
        destination=st.sampled_from(["BR", "BR", ""]),
    )
    def revise(
        self, data: st.DataObject, minor: int, choices: tuple[Choice, ...], destination: str
    ) -> None:
        """A backer thinks again."""
        no = self.one(data, ["made"], 1)
        facts = {"pledge_id": self.id_of(no), "amount_minor": minor}
        terms = {"choices": choices, "destination": destination}
        self.give(do(c.RevisePledge, self.owner(no), **facts, **terms))

    @rule(data=st.data(), by=st.sampled_from(["", "", STAFF, f"backer:{BEN}"]))
    def withdraw(self, data: st.DataObject, by: str) -> None:
        """Somebody leaves."""
        no = self.one(data, ["made", "failed", "action_required", "collected"])
        self.give(do(c.WithdrawPledge, by or self.owner(no), pledge_id=self.id_of(no)))

    @precondition(lambda self: self.model.pledges)
    @rule(data=st.data())
    def another_card(self, data: st.DataObject) -> None:
        """Somebody names another payment method."""
        no = self.one(data, ["made", "failed"])
        facts = {"pledge_id": self.id_of(no), "payment_method": an_id(95)}
        self.give(do(c.ReplacePaymentMethod, self.owner(no), **facts))

    # --- Money in --------------------------------------------------------------------------------

    @precondition(lambda self: self.has("made", "failed", "action_required"))
    @rule(data=st.data(), late=st.sampled_from([0, 0, 0, 1]))
    def ask(self, data: st.DataObject, late: int) -> None:
        """The provider is about to be asked."""
        no = self.one(data, ["made", "failed", "action_required"])
        attempt = max(1, self.next_attempt(no) - late)
        self.give(do(c.RequestCollection, SYSTEM, no=no, attempt=attempt))

    @precondition(lambda self: self.has("made", "failed", "action_required"))
    @rule(data=st.data())
    def asked_and_charged(self, data: st.DataObject) -> None:
        """The provider is asked and charges, as it mostly does."""
        self.charge(self.one(data, ["made", "failed", "action_required"]))

    @precondition(lambda self: any(each["attempt"] for each in self.model.pledges))
    @rule(
        data=st.data(),
        more=st.sampled_from([0] * 7 + [1]),
        again=st.sampled_from([""] * 7 + ["/again"]),
        earlier=st.sampled_from([0, 0, 0, 1]),
    )
    def charged(self, data: st.DataObject, more: int, again: str, earlier: int) -> None:
        """The provider says that it charged, perhaps a second time or another sum."""
        no = self.one(data, [*IN_FLIGHT, "action_required", "failed", "collected"], 1)
        attempt = max(1, self.next_attempt(no) - 1 - earlier)
        reference = f"charge/{no}/{attempt}{again}"
        minor = self.promised(no) + more
        self.give(charge(no, attempt, minor, provider_fee_minor=1, reference=reference))

    @precondition(lambda self: self.has(*IN_FLIGHT, "action_required"))
    @rule(
        data=st.data(),
        what=st.sampled_from(
            [c.RecordActionRequired, c.RecordCollectionUnknown, *[c.RecordCollectionFailed] * 2]
        ),
    )
    def not_charged(self, data: st.DataObject, what: type[c.Command]) -> None:
        """The provider says something else."""
        no = self.one(data, [*IN_FLIGHT, "action_required"])
        attempt = max(1, self.next_attempt(no) - 1)
        if what is c.RecordCollectionFailed:
            self.give(decline(no, attempt))
        else:
            self.give(do(what, "provider:test_bank", no=no, attempt=attempt))

    @precondition(lambda self: self.has("failed", "action_required"))
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """Grace may be over."""
        self.give(do(c.DropPledge, SYSTEM, no=self.one(data, ["failed", "action_required"])))

    # --- Money back ------------------------------------------------------------------------------

    @precondition(lambda self: self.has("collected", "withdrawn"))
    @rule(
        data=st.data(),
        number=IDS,
        minor=st.one_of(st.integers(1, 40), st.just(0)),
        cause=st.sampled_from(["goodwill", "goodwill", "not_delivered", "failed", "cancelled"]),
    )
    def want_back(self, data: st.DataObject, number: int, minor: int, cause: str) -> None:
        """Staff decide on a refund."""
        no = self.one(data, ["collected", "withdrawn"])
        over = self.model.phase == "over"
        facts = {"refund_id": an_id(300 + number), "amount_minor": minor}
        self.give(do(c.RequestRefund, STAFF, no=no, cause="cancelled" if over else cause, **facts))

    @precondition(lambda self: self.model.refunds)
    @rule(
        data=st.data(),
        more=st.sampled_from([0] * 7 + [1]),
        again=st.sampled_from([""] * 7 + ["/again"]),
        fails=st.sampled_from([False, False, True]),
    )
    def refund_reported(self, data: st.DataObject, more: int, again: str, fails: bool) -> None:
        """The provider says what became of a refund."""
        refund_id = data.draw(st.sampled_from(list(self.model.refunds)), label="refund")
        known = self.model.refunds[refund_id]
        if fails:
            facts = {"refund_id": refund_id, "code": "account_closed", "no": known["no"]}
            self.give(do(c.RecordRefundFailed, "provider:test_bank", **facts))
        else:
            reference = f"refund/{refund_id[:8]}{again}"
            minor = known["minor"] + more
            self.give(refunded(known["no"], minor, refund_id, reference=reference))

    @precondition(lambda self: self.has("collected", "withdrawn"))
    @rule(data=st.data(), number=IDS, minor=st.integers(1, 90))
    def disputed(self, data: st.DataObject, number: int, minor: int) -> None:
        """A backer's bank takes money back for now."""
        no = self.one(data, ["collected", "withdrawn"], 1)
        facts = {"no": no, "dispute_id": f"dispute/{number}", "provider": "test_bank"}
        facts["amount_minor"] = min(minor, self.promised(no))
        self.give(do(c.RecordDisputeOpened, "provider:test_bank", **facts))

    @precondition(lambda self: self.model.disputes)
    @rule(data=st.data(), won=st.booleans(), fee=st.integers(0, 2))
    def dispute_decided(self, data: st.DataObject, won: bool, fee: int) -> None:
        """The bank decides."""
        dispute_id = data.draw(st.sampled_from(list(self.model.disputes)), label="dispute")
        known = self.model.disputes[dispute_id]
        facts = {"no": known["no"], "amount_minor": known["minor"], "provider": "test_bank"}
        facts |= {"dispute_id": dispute_id} | ({} if won else {"fee_minor": fee})
        kind = c.RecordDisputeWon if won else c.RecordDisputeLost
        self.give(do(kind, "provider:test_bank", **facts))

    @rule(report=st.sampled_from(STRAYS), sure=st.integers(0, 3))
    def stray(self, report: Step, sure: int) -> None:
        """Now and then the provider reports what nobody knows of."""
        if sure == 0:
            self.give(report)

    @precondition(lambda self: self.model.odd)
    @rule(how=st.sampled_from(["returned", "returned", "written_off", "noted"]))
    def settled_with(self, how: str) -> None:
        """Staff settle a discrepancy."""
        facts = {"discrepancy_id": next(iter(self.model.odd)), "resolution": how}
        self.give(do(c.ResolveDiscrepancy, STAFF, **facts))

    # --- Deliveries and needs --------------------------------------------------------------------

    @precondition(lambda self: self.has("collected"))
    @rule(data=st.data(), sent=st.booleans())
    def delivered(self, data: st.DataObject, sent: bool) -> None:
        """Sent, says the creator; received, says the backer."""
        no = self.one(data, ["collected"])
        if sent:
            self.give(do(c.MarkDelivered, CREATOR, nos=(no,)))
        else:
            self.give(do(c.ConfirmReceived, self.owner(no), pledge_id=self.id_of(no)))

    @rule(
        number=st.integers(0, 1),
        what=st.sampled_from([c.OfferNeed, c.AcceptNeed, c.DeclineNeed, c.ReceiveNeed]),
    )
    def helped(self, number: int, what: type[c.Command]) -> None:
        """Somebody helps in kind."""
        facts: dict[str, Any] = {"offer_id": an_id(70 + number)}
        if what is c.OfferNeed:
            self.give(do(what, f"backer:{ANNA}", need_id=HOURS, quantity=3, **facts))
        else:
            self.give(do(what, CREATOR, **facts))

    # --- Money out -------------------------------------------------------------------------------

    @precondition(lambda self: not self.model.account or len(self.events) > 30)
    @rule(account=st.sampled_from([ACCOUNT] * 5 + [OTHER_ACCOUNT]))
    def verified(self, account: str) -> None:
        """An account is verified."""
        self.give(do(c.VerifyPayoutAccount, STAFF, account_id=account))

    @precondition(lambda self: self.model.phase in PAYABLE)
    @rule(
        number=IDS,
        by=st.sampled_from([CREATOR, TEAM, STAFF]),
        part=st.sampled_from([(1, 1), (1, 2), (2, 3)]),
        span=st.sampled_from([(1, 0, ()), (1, 0, (1,)), (2, 0, ()), (1, 2, (2,))]),
    )
    def want_out(
        self, number: int, by: str, part: tuple[int, int], span: tuple[int, int, tuple[int, ...]]
    ) -> None:
        """The creator's side asks for a payout; a backer never may."""
        step = self.wanted(number, part, span, by)
        self.refused(step._replace(by=f"backer:{ANNA}"), errors.NotAllowed)
        self.give(step)

    def wanted(
        self,
        number: int,
        part: tuple[int, int],
        span: tuple[int, int, tuple[int, ...]],
        by: str = CREATOR,
    ) -> Step:
        """A request for a fraction of a range."""
        facts: dict[str, Any] = {"numerator": part[0], "denominator": part[1]}
        facts |= {"from_no": span[0], "to_no": span[1], "except_nos": span[2]}
        return do(c.RequestPayout, by, payout_id=an_id(900 + number), **facts)

    def refused(self, step: Step, why: type[errors.Rejection]) -> None:
        """Expect that a command is refused for this reason."""
        with pytest.raises(why):
            decide(self.state, self.command(step), self.at)

    @precondition(lambda self: self.model.payouts)
    @rule(
        data=st.data(),
        by=st.sampled_from(
            [TREASURER] * 3 + [STAFF, f"treasurer:{TEAM_ID}", f"treasurer:{STAFF[6:]}"]
        ),
    )
    def let_out(self, data: st.DataObject, by: str) -> None:
        """Somebody approves it."""
        self.give(do(c.ApprovePayout, by, payout_id=self.a_payout(data)))

    def a_payout(self, data: st.DataObject) -> str:
        """One of the payouts that were asked for."""
        return data.draw(st.sampled_from(list(self.model.payouts)), label="payout")

    @precondition(lambda self: self.model.payouts)
    @rule(data=st.data())
    def not_let_out(self, data: st.DataObject) -> None:
        """The treasurer refuses it."""
        facts = {"payout_id": self.a_payout(data), "cause": "plan_unclear"}
        self.give(do(c.RefusePayout, TREASURER, **facts))

    @precondition(lambda self: self.model.payouts)
    @rule(
        data=st.data(),
        what=st.sampled_from(["sent", "sent", "failed", "returned"]),
        more=st.sampled_from([0] * 7 + [1]),
        again=st.sampled_from([""] * 7 + ["/again"]),
    )
    def payout_reported(self, data: st.DataObject, what: str, more: int, again: str) -> None:
        """The provider says what became of a payout."""
        payout_id = self.a_payout(data)
        known = self.model.payouts[payout_id]
        minor = known["minor"] - known["debt"] + more
        report = {"payout_id": payout_id, "reference": f"{what}/{payout_id[:8]}{again}"}
        if what == "sent":
            self.give(sent_out(minor, **report))
        elif what == "failed":
            facts = {"payout_id": payout_id, "code": "account_closed"}
            self.give(do(c.RecordPayoutFailed, "provider:test_bank", **facts))
        else:
            facts = {"amount_minor": minor, "provider": "test_bank", **report}
            self.give(do(c.RecordPayoutReturned, "provider:test_bank", **facts))

    @precondition(lambda self: self.model.phase in PAYABLE)
    @rule(number=IDS, part=st.sampled_from([(1, 1), (1, 3)]))
    def paid_out(self, number: int, part: tuple[int, int]) -> None:
        """A payout goes the whole way, as it mostly does."""
        if not self.model.account:
            self.give(do(c.VerifyPayoutAccount, STAFF, account_id=ACCOUNT))
        self.at = max(self.at, self.model.won_at + 14 * DAY, self.model.account_at)
        payout_id = an_id(900 + number)
        self.give(self.wanted(number, part, (1, 0, ())))
        if self.give(do(c.ApprovePayout, TREASURER, payout_id=payout_id)):
            payout = self.model.payouts[payout_id]
            reference = f"sent/{payout_id[:8]}"
            cash_minor = payout["minor"] - payout["debt"]
            self.give(sent_out(cash_minor, payout_id, reference=reference))

    @precondition(lambda self: self.model.owed)
    @rule(minor=st.integers(0, 40), repaid=st.booleans())
    def debt_settled(self, minor: int, repaid: bool) -> None:
        """The creator pays back, or the treasurer writes off."""
        minor = min(minor, max(1, self.model.owed))
        if repaid:
            facts = {"amount_minor": minor, "provider": "test_bank", "reference": "transfer/1"}
            self.give(do(c.RecordRepayment, STAFF, **facts))
        else:
            self.give(do(c.WriteOffDebt, TREASURER, amount_minor=minor))

    # --- What must hold --------------------------------------------------------------------------

    def new_to(self, looking: str) -> list[e.Event]:
        """The facts that came since this was asked for last under the same name."""
        since, self.looked_at[looking] = self.looked_at[looking], len(self.events)
        return self.events[since:]

    @invariant()
    def the_state_is_that_of_the_model(self) -> None:
        """The figures are the model's, the state is the one that the facts rebuild."""
        if self.new_to("state"):
            told = msgspec.structs.asdict(self.state.figures)
            assert told == self.model.figures()
            assert self.replayed == self.state
            assert [*check_whole(self.state), *self.auditor.check_whole()] == []

    @invariant()
    def rule_1(self) -> None:
        """Amounts are whole numbers in range; a fee is half to even of its rate."""
        for each in self.new_to("rule 1"):
            signed = isinstance(each, e.DiscrepancyRecorded | e.DiscrepancyResolved)
            for name, told in leaves(msgspec.to_builtins(each)):
                if name.endswith("_minor"):
                    assert type(told) is int
                    assert signed or 0 <= told <= 10**12
                if name in ("price_minor", "goal_minor") or (name == "amount_minor" and not signed):
                    assert type(told) is int
                    assert told >= 1
            if isinstance(each, e.PledgeCollected) and each.platform_fee_minor:
                bps = self.model.terms.platform_fee_bps
                assert each.platform_fee_minor == rounded(each.amount_minor, bps)

    @invariant()
    def rule_2(self) -> None:
        """One campaign, one currency."""
        for each in self.new_to("rule 2"):
            told = [told for name, told in leaves(msgspec.to_builtins(each)) if name == "currency"]
            assert set(told) <= {"BRL"}

    @invariant()
    def rule_3(self) -> None:
        """Claimed and held never pass the limit, and are what pledges and checkouts have."""
        for reward_id, stock in self.state.stocks.items():
            taken = self.model.taken(reward_id)
            assert stock.claimed + stock.held == taken
            limit = self.model.rewards[reward_id].limit
            assert limit is None or taken <= limit

    @invariant()
    def rule_4(self) -> None:
        """A pledge exists once per id: again is told so, other content is refused."""
        if not self.new_to("rule 4"):
            return
        assert self.state.no_by_id == {each["id"]: each["no"] for each in self.model.pledges}
        for first in self.firsts.values():
            again = msgspec.structs.replace(first, command_id=an_id(4), payment_method=an_id(6))
            other = msgspec.structs.replace(first, amount_minor=first.amount_minor + 1)
            with pytest.raises(errors.Repeated) as repeated:
                decide(self.state, again, self.at)
            made = self.events[repeated.value.version - 1]
            assert isinstance(made, e.PledgeMade)
            assert (made.no, made.pledge_id) == (repeated.value.no, first.pledge_id)
            with pytest.raises(errors.PledgeIdReused):
                decide(self.state, other, self.at)

    @invariant()
    def rule_5(self) -> None:
        """Collected is at most what was pledged, refunded at most what was collected."""
        for pledge in self.model.pledges:
            money = pledge["money"]
            if money:
                assert money["collected"] <= pledge["minor"]
                assert max(money["refunded"], money["lost"]) <= money["collected"]

    @invariant()
    def rule_6(self) -> None:
        """Each pledge's remainder is the model's, and never negative."""
        for pledge, told in zip(self.model.pledges, self.state.pledges, strict=True):
            remainder = self.model.remainder(pledge)
            assert remainder >= 0
            assert (told.funds.remainder_minor if told.funds else 0) == remainder

    @invariant()
    def rule_7(self) -> None:
        """Entries sum to zero, the journal holds the remainders, set aside is at most held."""
        for each in self.new_to("rule 7"):
            assert sum(line.amount_minor for line in postings(each)) == 0
        held = -self.journal[f"Liabilities:Campaign:{CAMPAIGN}:Held"]
        on_the_way = -self.journal[f"Liabilities:Campaign:{CAMPAIGN}:Payout"]
        assert held == sum(map(self.model.remainder, self.model.pledges))
        aside = [self.model.aside(pledge) for pledge in self.model.pledges]
        assert 0 <= sum(aside) + on_the_way <= held + on_the_way
        for pledge, told in zip(aside, self.state.pledges, strict=True):
            assert pledge == (told.funds.set_aside_minor if told.funds else 0)
        assert self.state.figures.reconcile()

    @invariant()
    def rule_8(self) -> None:
        """Each approved payout was asked for by another, to an account verified before."""
        for index, each in enumerate(self.events):
            if isinstance(each, e.PayoutApproved):
                before = self.events[:index]
                (asked,) = (
                    was
                    for was in before
                    if isinstance(was, e.PayoutRequested) and was.payout_id == each.payout_id
                )
                verified = [v for v in before if isinstance(v, e.PayoutAccountVerified)]
                assert each.by.startswith("treasurer:")
                assert each.by[10:] not in (CREATOR_ID, TEAM_ID, asked.by.partition(":")[2])
                assert verified[-1].account_id == each.account_id == asked.account_id
                assert verified[-1].usable_from_at <= each.at

    @invariant()
    def rule_9(self) -> None:
        """Nothing is collected or paid out before its time, nor while suspended."""
        won_at, over, suspended = None, False, False
        for each in self.events:
            match each:
                case e.CampaignSuspended() | e.CampaignResumed():
                    suspended = isinstance(each, e.CampaignSuspended)
                case e.CampaignSucceeded():
                    won_at = each.at
                case e.CampaignFailed() | e.CampaignCancelled():
                    over = True
                case e.CollectionRequested():
                    early = self.model.terms.collect_at == "pledge"
                    assert not suspended
                    assert not over
                    assert early or won_at is not None
                case e.PayoutRequested() | e.PayoutApproved():
                    assert not suspended
                    assert won_at is not None
                    assert not over
                    assert each.at >= won_at + self.model.terms.payout_delay_days * DAY
                case _:
                    continue

    @invariant()
    def rule_10(self) -> None:
        """Time never runs backwards, and each fact bears the time of its turn."""
        times = [each.at for each in self.events]
        assert times == sorted(times)
        assert not times or times[-1] <= self.at

    @invariant()
    def rule_11(self) -> None:
        """Versions are dense, and no fact that was stored is ever another."""
        assert [each.version for each in self.events] == list(range(1, len(self.events) + 1))
        assert {each.stream for each in self.events} <= {f"campaign:{CAMPAIGN}"}
        assert [encode(each) for each in self.events] == self.stored
        assert self.state.version == len(self.events)

    @invariant()
    def rule_12(self) -> None:
        """Every text is an id, a code, a hash, a region, a currency or a reference."""
        for each in self.new_to("rule 12"):
            for name, told in leaves(msgspec.json.decode(encode(each))):
                if isinstance(told, str):
                    looks = REFERENCE if name in ("reference", "dispute_id") else PLAIN
                    assert looks.fullmatch(told), (name, told)

    @invariant()
    def rule_13(self) -> None:
        """What fits nothing waits in suspense, and freezes every payout."""
        assert self.state.frozen == bool(self.model.odd)
        assert self.state.figures.suspense_minor == sum(self.model.odd.values())
        if self.model.odd:
            for payout_id, payout in self.model.payouts.items():
                if payout["state"] == "requested":
                    step = do(c.ApprovePayout, TREASURER, payout_id=payout_id)
                    self.refused(step, errors.Rejection)


def _is_odd(facts: list[e.Event]) -> bool:
    return any(isinstance(each, e.DiscrepancyRecorded) for each in facts)


CampaignLife.TestCase.settings = settings(stateful_step_count=60)
TestCampaignLife = CampaignLife.TestCase
