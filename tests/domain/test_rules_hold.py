"""The thirteen rules hold after every fact, whatever anybody does in whatever order.

Hypothesis gives commands at random to a campaign, to a plain model of it, and to an auditor. What
the model expects of a command has to come of it, the sums of both have to be the same, and each
rule is looked at once more by itself after every step (`rule_1` to `rule_13`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
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

BACKERS = st.sampled_from([ANNA, BEN, CLEO, CREATOR_ID])
IDS = st.integers(0, 5)
NUMBERS = st.integers(0, 6)
AMOUNTS = st.one_of(st.integers(0, 60), st.sampled_from([1_200, 3_000]))
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
        self.events += facts
        self.stored += [encode(each) for each in facts]
        for each in facts:
            evolve(self.replayed, each)
            found = self.auditor.feed(each)
            assert found == [], found
            self.model.learn(each)
            for line in postings(each):
                self.journal[line.account] += line.amount_minor
            if isinstance(each, e.PledgeMade):
                assert isinstance(command, c.MakePledge)
                self.firsts[each.pledge_id] = command
        return facts

    @initialize(
        model=st.sampled_from(["all_or_nothing", "flexible"]),
        terms=TERMS,
        goal=st.sampled_from([20, 60, 1_200]),
        first_time=st.booleans(),
    )
    def launched(self, model: str, terms: dict[str, Any], goal: int, first_time: bool) -> None:
        """Somebody's campaign is live."""
        terms = terms | ({"collect_at": "pledge"} if model == "flexible" else {})
        rewards = (
            msgspec.structs.replace(THE_MUG, price_minor=5, limit=3),
            msgspec.structs.replace(THE_BOOK, price_minor=10, shipping=THE_BOOK.shipping[:1]),
            msgspec.structs.replace(THE_STICKER, price_minor=1, limit=4),
        )
        changes = {"model": model, "terms": terms, "goal_minor": goal, "rewards": rewards}
        step = submit(**changes, first_time_creator=first_time)
        self.model = Model(a_submission(**changes, first_time_creator=first_time))
        for each in (step, APPROVE, LAUNCH):
            facts = handle(self.state, self.command(each), self.at)
            for fact in facts:
                evolve(self.replayed, fact)
                assert self.auditor.feed(fact) == []
            self.events += facts
            self.stored += map(encode, facts)

    # --- What may happen -------------------------------------------------------------------------

    @rule(ms=WAITS)
    def time_passes(self, ms: int) -> None:
        """Time passes."""
        self.at += ms

    @precondition(lambda self: self.model.phase == "live")
    @rule()
    def the_deadline_comes(self) -> None:
        """The campaign is closed."""
        self.at = max(self.at, self.model.deadline)
        self.give(do(c.CloseCampaign, SYSTEM))

    @rule(
        command=st.sampled_from(
            [
                do(c.CloseCampaign, SYSTEM),
                do(c.SuspendCampaign, STAFF, cause="under_review"),
                do(c.ResumeCampaign, STAFF),
                do(c.OpenLatePledges, CREATOR),
                do(c.CloseLatePledges, TEAM),
                do(c.UpdatePlan, CREATOR, text=HASH),
                do(c.PostUpdate, CREATOR, update_id=an_id(90), text=HASH),
                do(c.LaunchCampaign, CREATOR),
                APPROVE,
            ]
        )
    )
    def life(self, command: Step) -> None:
        """Something in a campaign's life."""
        self.give(command)

    @rule(by=st.sampled_from([STAFF, STAFF, CREATOR]), sure=st.integers(0, 9))
    def called_off(self, by: str, sure: int) -> None:
        """Rarely is a campaign called off."""
        if sure == 0 and by == STAFF:
            self.give(do(c.CancelCampaign, by, cause="creator_unreachable"))

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

    @rule(who=BACKERS, number=IDS, choices=CHOICES)
    def hold(self, who: str, number: int, choices: tuple[Choice, ...]) -> None:
        """Somebody is at the checkout."""
        ids = {"hold_id": an_id(80 + number), "backer": who}
        self.give(do(c.PlaceHold, f"backer:{who}", choices=choices, **ids))

    @rule(number=IDS, who=BACKERS)
    def hold_given_up(self, number: int, who: str) -> None:
        """Somebody left the checkout."""
        self.give(do(c.LapseHold, f"backer:{who}", hold_id=an_id(80 + number)))

    @rule(
        who=BACKERS,
        number=IDS,
        minor=AMOUNTS,
        choices=CHOICES,
        destination=st.sampled_from(["", "BR", "CN"]),
        by=st.sampled_from(["", "", "", ANNA]),
    )
    def pledge(
        self,
        who: str,
        number: int,
        minor: int,
        choices: tuple[Choice, ...],
        destination: str,
        by: str,
    ) -> None:
        """Somebody promises money."""
        facts = {"pledge_id": an_id(100 + number), "amount_minor": minor, "backer": who}
        terms = {"choices": choices, "destination": destination, "currency": "BRL"}
        self.give(do(c.MakePledge, f"backer:{by or who}", **facts, **terms))

    @rule(number=IDS, minor=AMOUNTS, choices=CHOICES, destination=st.sampled_from(["", "BR"]))
    def revise(
        self, number: int, minor: int, choices: tuple[Choice, ...], destination: str
    ) -> None:
        """A backer thinks again."""
        facts = {"pledge_id": an_id(100 + number), "amount_minor": minor}
        terms = {"choices": choices, "destination": destination}
        self.give(do(c.RevisePledge, self.owner(number), **facts, **terms))

    def owner(self, number: int) -> str:
        """The backer of a pledge by the number of its id."""
        named = (each for each in self.model.pledges if each["id"] == an_id(100 + number))
        return f"backer:{next(named, {'backer': ANNA})['backer']}"

    @rule(number=IDS, by=st.sampled_from(["", "", STAFF, f"backer:{BEN}"]))
    def withdraw(self, number: int, by: str) -> None:
        """Somebody leaves."""
        leave = do(c.WithdrawPledge, by or self.owner(number), pledge_id=an_id(100 + number))
        self.give(leave)

    @rule(number=IDS)
    def another_card(self, number: int) -> None:
        """Somebody names another payment method."""
        facts = {"pledge_id": an_id(100 + number), "payment_method": an_id(95)}
        self.give(do(c.ReplacePaymentMethod, self.owner(number), **facts))

    # --- Money in --------------------------------------------------------------------------------

    def next_attempt(self, no: int) -> int:
        """The attempt that comes next for a pledge."""
        return self.model.pledges[no - 1]["attempt"] + 1 if no <= len(self.model.pledges) else 1

    def promised(self, no: int) -> int:
        """What a pledge promises."""
        return self.model.pledges[no - 1]["minor"] if 1 <= no <= len(self.model.pledges) else 50

    @rule(no=NUMBERS, late=st.integers(0, 1))
    def ask(self, no: int, late: int) -> None:
        """The provider is about to be asked."""
        attempt = max(1, self.next_attempt(no) - late) if no else 1
        self.give(do(c.RequestCollection, SYSTEM, no=no, attempt=attempt))

    @rule(no=st.integers(1, 6))
    def charge(self, no: int) -> None:
        """The provider is asked and charges."""
        attempt = self.next_attempt(no)
        if self.give(do(c.RequestCollection, SYSTEM, no=no, attempt=attempt)):
            self.give(charge(no, attempt, self.promised(no), provider_fee_minor=1))

    @rule(
        no=NUMBERS,
        attempt=st.integers(1, 2),
        more=st.sampled_from([0, 0, 0, 1]),
        again=st.sampled_from(["", "", "/again"]),
    )
    def charged(self, no: int, attempt: int, more: int, again: str) -> None:
        """The provider says that it charged."""
        minor, reference = self.promised(no) + more, f"charge/{no}/{attempt}{again}"
        self.give(charge(no, attempt, minor, provider_fee_minor=1, reference=reference))

    @rule(
        no=NUMBERS,
        attempt=st.integers(1, 3),
        what=st.sampled_from([c.RecordActionRequired, c.RecordCollectionUnknown, None]),
    )
    def not_charged(self, no: int, attempt: int, what: type[c.Command] | None) -> None:
        """The provider says something else."""
        if what is None:
            self.give(decline(no, attempt))
        else:
            self.give(do(what, "provider:test_bank", no=no, attempt=attempt))

    @rule(no=NUMBERS)
    def drop(self, no: int) -> None:
        """Grace is over."""
        self.give(do(c.DropPledge, SYSTEM, no=no))

    # --- Money back ------------------------------------------------------------------------------

    @rule(
        no=NUMBERS,
        number=IDS,
        minor=st.integers(0, 30),
        cause=st.sampled_from(["goodwill", "not_delivered", "failed", "cancelled"]),
    )
    def want_back(self, no: int, number: int, minor: int, cause: str) -> None:
        """Staff decide on a refund."""
        facts = {"refund_id": an_id(300 + number), "amount_minor": minor, "cause": cause}
        self.give(do(c.RequestRefund, STAFF, no=no, **facts))

    @rule(
        number=IDS,
        more=st.sampled_from([0, 0, 0, 1]),
        again=st.sampled_from(["", "", "/again"]),
        fails=st.booleans(),
    )
    def refund_reported(self, number: int, more: int, again: str, fails: bool) -> None:
        """The provider says what became of a refund."""
        refunds = list(self.model.refunds) or [an_id(399)]
        refund_id = refunds[number % len(refunds)]
        known = self.model.refunds.get(refund_id, {"no": 1, "minor": 5})
        if fails:
            facts = {"refund_id": refund_id, "code": "account_closed", "no": known["no"]}
            self.give(do(c.RecordRefundFailed, "provider:test_bank", **facts))
        else:
            report = {"refund_id": refund_id, "reference": f"refund/{number}{again}"}
            self.give(refunded(known["no"], known["minor"] + more, **report))

    @rule(no=NUMBERS, number=st.integers(0, 2), minor=st.integers(1, 60))
    def disputed(self, no: int, number: int, minor: int) -> None:
        """A backer's bank takes money back for now."""
        facts = {"no": no, "dispute_id": f"dispute/{number}", "provider": "test_bank"}
        facts["amount_minor"] = min(minor, max(1, self.promised(no)))
        self.give(do(c.RecordDisputeOpened, "provider:test_bank", **facts))

    @rule(number=st.integers(0, 2), won=st.booleans(), fee=st.integers(0, 2))
    def dispute_decided(self, number: int, won: bool, fee: int) -> None:
        """The bank decides."""
        known = self.model.disputes.get(f"dispute/{number}", {"no": 1, "minor": 7})
        facts = {"no": known["no"], "amount_minor": known["minor"], "provider": "test_bank"}
        facts |= {"dispute_id": f"dispute/{number}"} | ({} if won else {"fee_minor": fee})
        kind = c.RecordDisputeWon if won else c.RecordDisputeLost
        self.give(do(kind, "provider:test_bank", **facts))

    # --- Deliveries and needs --------------------------------------------------------------------

    @rule(no=NUMBERS, said_by=st.booleans())
    def delivered(self, no: int, said_by: bool) -> None:
        """Sent, says the creator; received, says the backer."""
        if said_by:
            self.give(do(c.MarkDelivered, CREATOR, nos=(no,)))
        else:
            self.give(do(c.ConfirmReceived, self.owner(no), pledge_id=an_id(100 + no)))

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

    @rule(account=st.sampled_from([ACCOUNT, ACCOUNT, ACCOUNT, OTHER_ACCOUNT]))
    def verified(self, account: str) -> None:
        """An account is verified."""
        self.give(do(c.VerifyPayoutAccount, STAFF, account_id=account))

    @rule(
        number=IDS,
        by=st.sampled_from([CREATOR, TEAM, STAFF, TREASURER, f"backer:{ANNA}"]),
        part=st.sampled_from([(1, 1), (1, 2), (2, 3)]),
        span=st.sampled_from([(1, 0, ()), (1, 0, (1,)), (2, 0, ()), (1, 2, (2,))]),
    )
    def want_out(
        self, number: int, by: str, part: tuple[int, int], span: tuple[int, int, tuple[int, ...]]
    ) -> None:
        """Somebody asks for a payout."""
        step = self.wanted(number, part, span, by)
        if by in (CREATOR, TEAM, STAFF):
            self.give(step)
        else:
            self.refused(step, errors.NotAllowed)

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

    @rule(
        number=IDS,
        by=st.sampled_from(
            [TREASURER, TREASURER, STAFF, f"treasurer:{TEAM_ID}", f"treasurer:{STAFF[6:]}"]
        ),
    )
    def let_out(self, number: int, by: str) -> None:
        """Somebody approves it."""
        self.give(do(c.ApprovePayout, by, payout_id=an_id(900 + number)))

    @rule(number=IDS)
    def not_let_out(self, number: int) -> None:
        """The treasurer refuses it."""
        facts = {"payout_id": an_id(900 + number), "cause": "plan_unclear"}
        self.give(do(c.RefusePayout, TREASURER, **facts))

    @rule(
        number=IDS,
        what=st.sampled_from(["sent", "sent", "failed", "returned"]),
        more=st.sampled_from([0, 0, 0, 1]),
        again=st.sampled_from(["", "", "/again"]),
    )
    def payout_reported(self, number: int, what: str, more: int, again: str) -> None:
        """The provider says what became of a payout."""
        payout_id = an_id(900 + number)
        known = self.model.payouts.get(payout_id, {"minor": 9, "debt": 0})
        minor = known["minor"] - known["debt"] + more
        report = {"payout_id": payout_id, "reference": f"{what}/{number}{again}"}
        if what == "sent":
            self.give(sent_out(minor, **report))
        elif what == "failed":
            facts = {"payout_id": payout_id, "code": "account_closed"}
            self.give(do(c.RecordPayoutFailed, "provider:test_bank", **facts))
        else:
            facts = {"amount_minor": minor, "provider": "test_bank", **report}
            self.give(do(c.RecordPayoutReturned, "provider:test_bank", **facts))

    @precondition(lambda self: self.model.phase in ("won", "settled"))
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
            self.give(sent_out(payout["minor"] - payout["debt"], payout_id))

    @rule(minor=st.integers(0, 40), repaid=st.booleans())
    def debt_settled(self, minor: int, repaid: bool) -> None:
        """The creator pays back, or the treasurer writes off."""
        minor = min(minor, max(1, self.model.owed))
        if repaid:
            facts = {"amount_minor": minor, "provider": "test_bank", "reference": "transfer/1"}
            self.give(do(c.RecordRepayment, STAFF, **facts))
        else:
            self.give(do(c.WriteOffDebt, TREASURER, amount_minor=minor))

    @precondition(lambda self: self.model.odd)
    @rule(number=IDS, how=st.sampled_from(["returned", "written_off", "noted"]))
    def settled_with(self, number: int, how: str) -> None:
        """Staff settle a discrepancy."""
        odd = list(self.model.odd)
        facts = {"discrepancy_id": odd[number % len(odd)], "resolution": how}
        self.give(do(c.ResolveDiscrepancy, STAFF, **facts))

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
