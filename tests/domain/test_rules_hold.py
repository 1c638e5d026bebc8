"""The thirteen rules hold after every fact, whatever anybody does in whatever order.

Hypothesis gives commands at random to a campaign, to a plain model of it, and to an auditor. What
the model expects of a command has to come of it, the sums of both have to be the same, and each
rule is looked at once more by itself after every step (`rule_1` to `rule_13`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from domain import commands as c
from domain import errors
from domain import events as e
from domain.campaign import decide
from domain.codec import encode
from domain.invariants import check_whole
from domain.ledger import postings
from tests.domain.model import DAY, rounded
from tests.domain.scenario import (
    CAMPAIGN,
    CREATOR_ID,
    TEAM_ID,
    TREASURER,
    an_id,
    do,
)
from tests.domain.walking import Walk

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


class CampaignLife(Walk):
    """Whatever happens to a campaign, and everything that must hold after it."""

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


CampaignLife.TestCase.settings = settings(stateful_step_count=12)
TestCampaignLife = CampaignLife.TestCase


@pytest.mark.parametrize("tenth", range(10))
def test_long_walks(tenth: int) -> None:
    """Long walks with their own dice reach what Hypothesis, which loves short ones, seldom does."""
    walks = settings().max_examples * 3 // 10
    for seed in range(tenth * walks, (tenth + 1) * walks):
        life = CampaignLife()
        life.walk(Random(seed), 200)
        for number in range(1, 14):
            getattr(life, f"rule_{number}")()
        life.the_state_is_that_of_the_model()


def test_walks_see_almost_everything() -> None:
    """The walks are no stroll round the block: together they meet nearly every kind of fact."""
    seen = set()
    for seed in range(200):
        life = CampaignLife()
        life.walk(Random(seed), 120)
        seen |= {type(each) for each in life.events}
    review = {e.CampaignReturned, e.CampaignResubmitted}
    assert set(e.EVENT_TYPES.values()) - e.BESIDE_CAMPAIGNS - seen <= review
