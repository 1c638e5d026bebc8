"""The thirteen rules, checked from outside: what must hold after every fact of a campaign.

The rules of `decide` say what may happen next; this file only looks at what did happen. It asks
nothing of the files that decide: its sums, its rounding and its split of a refund are its own, so
that one mistake does not excuse itself. `docs/rules.md` says which rule is checked where.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from domain import events as e
from domain.campaign import evolve
from domain.field_checks import Violation, check_fields
from domain.ids import party_of, role_of
from domain.ledger import postings
from domain.recount import (
    claim,
    due_split,
    fees,
    kept,
    remainder,
    set_aside,
    shares,
    told_split,
)
from domain.state import Funds, Pledge, Status, new_campaign
from domain.state_checks import GONE, check, check_whole
from domain.terms import DAY_MS, Line

__all__ = ["Auditor", "Violation", "check", "check_whole"]

_WAITING: Final = (Status.MADE, Status.FAILED, Status.ACTION_REQUIRED)
_HAS_CURRENCY: Final = frozenset(
    cls for cls in e.EVENT_TYPES.values() if "currency" in cls.__struct_fields__
)


class _Lost(Exception):  # noqa: N818 - the auditor lost track; what is wrong is the stream
    """A fact names what is not there, so that no state can follow it."""

    def __init__(self, rule: int, detail: str) -> None:
        super().__init__(detail)
        self.violation = Violation(rule, detail)


class _Approval(NamedTuple):
    """A payout as it was fixed: what each pledge from `from_no` on gave."""

    amount_minor: int
    debt_minor: int
    from_no: int
    shares: list[int]


class _Dispute(NamedTuple):
    """An open dispute and what it has a claim on."""

    no: int
    amount_minor: int
    aside_minor: int


class _Changes(NamedTuple):
    """By how much the remainder of each pledge from `from_no` on is to change, and by how much
    what is set aside of them together.
    """

    from_no: int = 1
    remainders: Sequence[int] = ()
    aside_minor: int = 0


class Auditor:
    """Follows one campaign's stream from its first fact and says which rules each fact breaks.

    It keeps its own books beside the state: what `evolve` does to a pledge's money is compared
    with what the fact says and with the journal. After a fact that no state can follow it goes on
    with the next, as far as that is possible.
    """

    def __init__(self, campaign_id: str) -> None:
        """Begin before the first fact."""
        self.state = new_campaign(campaign_id)
        self._remainders_minor = 0
        self._aside_minor = 0
        self._balances: defaultdict[str, int] = defaultdict(int)
        self._found: list[Violation] = []
        self._stage = "early"
        self._suspended = False
        self._late = False
        self._deadline_at = 0
        self._won_at = 0
        self._pledged_minor = 0
        self._pledges = 0
        self._charged_minor = 0
        self._returned_minor = 0
        self._accounts: dict[str, int] = {}
        self._refunds: dict[str, e.RefundRequested] = {}
        self._disputes: dict[str, _Dispute] = {}
        self._requests: dict[str, e.PayoutRequested] = {}
        self._approved: dict[str, _Approval] = {}
        self._sent: dict[str, _Approval] = {}
        self._unsettled: dict[str, e.DiscrepancyRecorded] = {}

    def feed(self, event: e.Event) -> list[Violation]:
        """Add the next fact of the stream; return what it breaks, empty when all is well."""
        self._found = []
        state, kind = self.state, type(event)
        self._check_place(event)
        before = _BEFORE.get(kind)
        try:
            if state.submission is None and kind is not e.CampaignSubmitted:
                raise _Lost(11, "The stream does not begin with what was submitted.")
            changes = before(self, event) if before is not None else None
        except _Lost as lost:
            self._found.append(lost.violation)
            self._found += check_fields(event)
            state.version, state.last_at = event.version, event.at
            return self._found
        if changes is None:
            evolve(state, event)
        else:
            self._evolve_money(event, changes)
        if kind in _HAS_CURRENCY and event.currency != state.bound.currency:  # type: ignore[attr-defined] # just asked
            self._say(2, f"The campaign has another currency than this {kind.__name__}.")
        figures = state.figures
        if figures.pledged_minor != self._pledged_minor or figures.pledges != self._pledges:
            self._say(7, "What is pledged is not the sum of the pledges that stand.")
        self._found += check(state, event)
        return self._found

    def check_whole(self) -> list[Violation]:
        """Check all of the state, and the state against the journal. Grows with the campaign."""
        found = check_whole(self.state)
        remainders = sum(map(remainder, self.state.pledges))
        if remainders != -self._balances["Held"]:
            found.append(Violation(7, "The remainders are not what the journal holds."))
        return found

    def _say(self, rule: int, detail: str) -> None:
        self._found.append(Violation(rule, detail))

    def _must(self, rule: int, detail: str, fine: bool) -> None:  # noqa: FBT001 - reads as a sentence
        if not fine:
            self._found.append(Violation(rule, detail))

    def _check_place(self, event: e.Event) -> None:
        state = self.state
        if event.stream != state.stream or event.version != state.version + 1:
            self._say(11, f"{event.stream} {event.version} follows version {state.version}.")
        if event.at < state.last_at:
            self._say(10, f"Time runs back from {state.last_at} to {event.at}.")
        if state.channel and event.channel != state.channel:
            self._say(11, "A campaign stays in its channel.")

    # --- Money -----------------------------------------------------------------------------------

    def _evolve_money(self, event: e.Event, changes: _Changes) -> None:
        """Evolve, and compare each touched pledge with what was to happen to it."""
        first = changes.from_no - 1
        pledges = self.state.pledges[first : first + len(changes.remainders)]
        before = [remainder(pledge) for pledge in pledges]
        aside_minor = -sum(map(set_aside, pledges))
        evolve(self.state, event)
        aside_minor += sum(map(set_aside, pledges))
        for pledge, was_minor, by_minor in zip(pledges, before, changes.remainders, strict=True):
            now_minor = remainder(pledge)
            self._remainders_minor += now_minor - was_minor
            if now_minor != was_minor + by_minor:
                self._say(6, f"Pledge {pledge.no}: {now_minor} is left of {was_minor}.")
        self._aside_minor += aside_minor
        if aside_minor != changes.aside_minor:
            self._say(7, f"{aside_minor} more set aside, {changes.aside_minor} are due.")
        self._post(event)

    def _post(self, event: e.Event) -> None:
        books, figures, total_minor = self._balances, self.state.figures, 0
        for account, amount_minor, _ in postings(event):
            total_minor += amount_minor
            books[_kind_of(account)] += amount_minor
        held_minor, on_the_way_minor = -books["Held"], -books["Payout"]
        self._must(7, "The journal entry does not sum to zero.", total_minor == 0)
        remainders_minor = self._remainders_minor
        if held_minor != remainders_minor:
            self._say(7, f"The journal holds {held_minor}, the pledges {remainders_minor}.")
        aside_minor = self._aside_minor + on_the_way_minor
        self._must(
            7,
            "More is set aside than held.",
            0 <= aside_minor <= held_minor + on_the_way_minor,
        )
        told = (
            *(figures.held_minor, figures.on_the_way_minor, figures.fees_minor),
            *(figures.owed_minor, figures.disputed_minor, figures.suspense_minor),
            *(figures.charged_minor, figures.returned_minor),
        )
        booked = (
            *(held_minor + on_the_way_minor, on_the_way_minor),
            -books["PlatformFee"] - books["ProcessingFee"],
            *(books["Receivable"], books["Disputed"], -books["Suspense"]),
            *(self._charged_minor, self._returned_minor),
        )
        if told != booked:
            self._say(7, f"The figures {told} are not the books' {booked}.")
        sources = figures.charged_minor + figures.owed_minor + figures.written_off_minor
        uses = figures.held_minor + figures.paid_minor
        uses += figures.fees_minor + figures.returned_minor
        self._must(7, "The five numbers do not reconcile.", sources == uses)
        self._must(7, "The creator's debt is negative.", figures.owed_minor >= 0)

    def _pledge(self, no: int) -> Pledge:
        pledge = self.state.pledge(no)
        if pledge is None:
            raise _Lost(4, f"There is no pledge number {no}.")
        return pledge

    def _funds(self, no: int) -> Funds:
        funds = self._pledge(no).funds
        if funds is None:
            raise _Lost(5, f"Nothing was collected of pledge {no}.")
        return funds

    # --- Life of a campaign ----------------------------------------------------------------------

    def _submitted(self, event: e.CampaignSubmitted) -> None:
        first = self.state.submission is None
        self._must(11, "A campaign is submitted once.", first)
        self._must(11, "A campaign's stream is its own.", event.stream == self.state.stream)

    def _resubmitted(self, _: e.CampaignResubmitted) -> None:
        self._must(11, "A launched campaign is not submitted again.", self._stage == "early")

    def _launched(self, event: e.CampaignLaunched) -> None:
        self._must(11, "A campaign is launched once.", self._stage == "early")
        self._stage = "live"
        self._deadline_at = event.deadline_at
        bound = self.state.bound
        agreed = (bound.model, bound.goal_minor, bound.deadline_at, bound.terms)
        told = (event.model, event.goal_minor, event.deadline_at, event.terms)
        self._must(2, "The launch binds other terms than those agreed to.", told == agreed)

    def _suspended_or_resumed(self, event: e.CampaignSuspended | e.CampaignResumed) -> None:
        self._suspended = isinstance(event, e.CampaignSuspended)

    def _late_opened_or_closed(self, event: e.LatePledgesOpened | e.LatePledgesClosed) -> None:
        self._late = isinstance(event, e.LatePledgesOpened)

    def _deadline_extended(self, event: e.DeadlineExtended) -> None:
        later = event.at < self._deadline_at < event.deadline_at
        self._must(9, "A deadline moves later, before it has passed.", later)
        self._deadline_at = event.deadline_at

    def _succeeded(self, event: e.CampaignSucceeded) -> None:
        self._closed(event, with_success=True)
        self._stage, self._won_at = "won", event.at

    def _over(self, event: e.CampaignFailed | e.CampaignCancelled) -> None:
        if isinstance(event, e.CampaignFailed):
            self._closed(event, with_success=False)
        self._stage, self._late = "over", False
        waiting = [each.amount_minor for each in self.state.pledges if each.status in _WAITING]
        told, due = (event.released_minor, event.released), (sum(waiting), len(waiting))
        self._must(7, f"It releases {told}, not {due}.", told == due)
        self._pledged_minor -= due[0]
        self._pledges -= due[1]

    def _closed(self, event: e.CampaignSucceeded | e.CampaignFailed, *, with_success: bool) -> None:
        told, due = (event.pledged_minor, event.pledges), (self._pledged_minor, self._pledges)
        self._must(7, f"It closes with {told}, not {due}.", told == due)
        over = self._stage == "live" and event.at >= self._deadline_at
        self._must(9, "A live campaign closes at its deadline.", over)
        bound = self.state.bound
        goal_minor = 1 if bound.model == "flexible" else bound.goal_minor
        reached = self._pledged_minor >= goal_minor
        self._must(9, "Success is a reached goal.", reached == with_success)

    # --- Pledges ---------------------------------------------------------------------------------

    def _lines_known(self, lines: tuple[Line, ...]) -> None:
        for line in lines:
            if line.reward_id not in self.state.stocks:
                raise _Lost(3, "There is no such reward.")
            if line.quantity < 1:
                raise _Lost(3, "A line has at least one piece.")

    def _reward_changed(self, event: e.RewardChanged) -> None:
        stock = self.state.stocks.get(event.reward.reward_id)
        if stock is None:
            raise _Lost(3, "There is no such reward.")
        self._must(3, "A reward changes once it has a backer.", not stock.claimed)

    def _stock_changed(self, event: e.RewardStockChanged) -> None:
        if event.reward_id not in self.state.stocks:
            raise _Lost(3, "There is no such reward.")

    def _reward_added(self, event: e.RewardAdded) -> None:
        if event.reward.reward_id in self.state.stocks:
            raise _Lost(3, "The reward is there already.")

    def _hold_placed(self, event: e.HoldPlaced) -> None:
        self._lines_known(event.lines)
        free = event.backer not in self.state.hold_of and event.hold_id not in self.state.holds
        self._must(3, "A backer has one hold in a campaign.", free)

    def _offer_decided(self, event: e.NeedAccepted | e.NeedDeclined | e.NeedReceived) -> None:
        if event.offer_id not in self.state.offers:
            raise _Lost(11, "There is no such offer.")

    def _made(self, event: e.PledgeMade) -> None:
        state = self.state
        if event.no != len(state.pledges) + 1:
            raise _Lost(4, f"Pledge {event.no} follows number {len(state.pledges)}.")
        if event.pledge_id in state.no_by_id:
            raise _Lost(4, f"Pledge {event.no} has the id of another.")
        live = self._stage == "live" and event.at < self._deadline_at
        if self._suspended or not (live or (self._stage == "won" and self._late)):
            self._say(9, f"Pledge {event.no} is made when none are taken.")
        if event.hold_id and state.hold_of.get(event.backer) != event.hold_id:
            self._say(3, f"Pledge {event.no} uses the hold of another.")
        if event.lines:
            self._lines_known(event.lines)
        self._pledged_minor += event.amount_minor
        self._pledges += 1

    def _revised(self, event: e.PledgeRevised) -> None:
        pledge = self._pledge(event.no)
        self._lines_known(event.lines)
        untouched = pledge.status is Status.MADE and event.was_minor == pledge.amount_minor
        self._must(5, "Only what was just made is revised.", untouched)
        self._pledged_minor += event.amount_minor - pledge.amount_minor

    def _left(self, event: e.PledgeWithdrawn | e.PledgeDropped | e.PledgeReleased) -> None:
        pledge = self._pledge(event.no)
        stands = pledge.status not in GONE and event.amount_minor == pledge.amount_minor
        self._must(7, f"Pledge {event.no} leaves with another sum.", stands)
        if pledge.funds is not None and not isinstance(event, e.PledgeWithdrawn):
            raise _Lost(6, f"Pledge {event.no} was charged: its money has to go back.")
        self._pledged_minor -= event.amount_minor
        self._pledges -= 1

    def _delivered(self, event: e.DeliveryMarked) -> None:
        for no in event.nos:
            self._funds(no)

    def _received(self, event: e.DeliveryReceived) -> None:
        self._funds(event.no)

    def _not_charged(self, event: Any) -> None:  # noqa: ANN401 - any fact about one pledge
        if self._pledge(event.no).funds is not None:
            raise _Lost(5, f"Pledge {event.no} was charged already.")

    # --- Collecting ------------------------------------------------------------------------------

    def _collection_requested(self, event: e.CollectionRequested) -> None:
        pledge, terms = self._pledge(event.no), self.state.bound.terms
        due = self._stage == "won" or (self._stage == "live" and terms.collect_at == "pledge")
        self._must(9, "Nothing is collected earlier than the terms say.", due)
        self._must(9, "Nothing is collected while suspended.", not self._suspended)
        exact = event.amount_minor == pledge.amount_minor
        self._must(5, f"Pledge {event.no} is asked for another sum.", exact)
        fresh = pledge.funds is None and event.attempt == pledge.attempt + 1
        self._must(5, f"Pledge {event.no} is asked for once too often.", fresh)

    def _collected(self, event: e.PledgeCollected) -> _Changes:
        pledge, no = self._pledge(event.no), event.no
        if pledge.funds is not None:
            raise _Lost(5, f"Pledge {no} is collected twice.")
        if not 1 <= event.attempt <= pledge.attempt:
            self._say(9, f"Pledge {no} was not asked for.")
        if event.amount_minor != pledge.amount_minor:
            self._say(5, f"Pledge {no} is collected with another sum.")
        told = (event.platform_fee_minor, event.processing_fee_minor)
        due = fees(event.amount_minor if self._stage == "won" else 0, self.state.bound.terms)
        if told != due:
            self._say(1, f"The fees of pledge {no} are {due}, not {told}.")
        self._charged_minor += event.amount_minor
        return _Changes(no, (event.amount_minor - sum(told),))

    def _fees_charged(self, event: e.FeesCharged) -> _Changes:
        terms, excepted = self.state.bound.terms, set(event.except_nos)
        changes, platform_minor, processing_minor = [], 0, 0
        for pledge in self._range(event.from_no, event.to_no):
            funds = pledge.funds
            if funds is None or funds.fees_charged:
                changes.append(0)
                continue
            waits = funds.pending_minor or funds.disputed_minor
            owes = pledge.status is Status.COLLECTED and not waits
            borne = fees(kept(funds), terms) if pledge.no not in excepted else (0, 0)
            if owes != (pledge.no not in excepted):
                self._say(1, f"Pledge {pledge.no} is charged or spared a fee without reason.")
            platform_minor, processing_minor = (
                platform_minor + borne[0],
                processing_minor + borne[1],
            )
            changes.append(-sum(borne))
        self._must(9, "Fees are due once success is certain.", self._stage == "won")
        told = (event.platform_fee_minor, event.processing_fee_minor)
        due = (platform_minor, processing_minor)
        self._must(1, f"The fees are {due}, not {told}.", told == due)
        return _Changes(event.from_no, changes)

    def _range(self, from_no: int, to_no: int) -> Sequence[Pledge]:
        if not 1 <= from_no <= to_no <= len(self.state.pledges):
            raise _Lost(6, f"There are no pledges {from_no} to {to_no}.")
        return self.state.pledges[from_no - 1 : to_no]

    # --- Money going back ------------------------------------------------------------------------

    def _check_split(
        self, event: e.RefundRequested | e.DisputeLost, own_minor: int, *, in_full: bool
    ) -> None:
        terms, funds = self.state.bound.terms, self._funds(event.no)
        told = told_split(event)
        due = due_split(terms, funds, event.amount_minor, own_minor, in_full=in_full)
        if told != due:
            self._say(6, f"Pledge {event.no} bears {tuple(due)}, not {tuple(told)}.")

    def _refund_requested(self, event: e.RefundRequested) -> _Changes:
        pledge, funds = self._pledge(event.no), self._funds(event.no)
        left_minor = funds.collected_minor - funds.refunded_minor - funds.lost_minor
        left_minor -= funds.pending_minor + funds.disputed_minor
        if event.amount_minor > left_minor:
            self._say(5, f"Of pledge {event.no} at most {left_minor} can go back.")
        if event.refund_id in self.state.refunds:
            raise _Lost(5, f"Pledge {event.no} is refunded under an id that was used.")
        in_full = event.cause in ("failed", "cancelled")
        if in_full and self._stage != "over":
            self._say(6, "Every fee goes back only where a campaign is over.")
        self._check_split(event, remainder(pledge) - set_aside(pledge), in_full=in_full)
        self._refunds[event.refund_id] = event
        return _Changes(event.no, (0,), claim(told_split(event)))

    def _asked(self, event: e.PledgeRefunded | e.RefundFailed) -> e.RefundRequested:
        asked = self._refunds.pop(event.refund_id, None)
        if asked is None or asked.no != event.no:
            raise _Lost(6, f"No such refund of pledge {event.no} was asked for.")
        return asked

    def _refunded(self, event: e.PledgeRefunded) -> _Changes:
        asked = self._asked(event)
        same = told_split(asked) == told_split(event) and asked.amount_minor == event.amount_minor
        self._must(6, f"Pledge {event.no} is refunded otherwise than asked.", same)
        return self._drawn(event, claim(told_split(asked)))

    def _drawn(self, event: e.PledgeRefunded | e.DisputeLost, aside_minor: int) -> _Changes:
        self._returned_minor += event.amount_minor
        if event.amount_minor != event.from_held_minor + event.receivable_minor:
            self._say(6, f"What pledge {event.no} gives back is not covered.")
        reversed_minor = event.platform_fee_reversed_minor + event.processing_fee_reversed_minor
        return _Changes(event.no, (reversed_minor - event.from_held_minor,), -aside_minor)

    def _refund_failed(self, event: e.RefundFailed) -> _Changes:
        return _Changes(event.no, (0,), -claim(told_split(self._asked(event))))

    def _dispute_opened(self, event: e.DisputeOpened) -> _Changes:
        pledge, funds = self._pledge(event.no), self._funds(event.no)
        left_minor = funds.collected_minor - funds.refunded_minor
        left_minor -= funds.lost_minor + funds.disputed_minor
        if event.amount_minor > left_minor:
            self._say(5, f"Of pledge {event.no} at most {left_minor} can be disputed.")
        if event.dispute_id in self.state.disputes:
            raise _Lost(5, f"Pledge {event.no} is disputed under an id that was used.")
        aside_minor = min(remainder(pledge) - set_aside(pledge), event.amount_minor)
        self._disputes[event.dispute_id] = _Dispute(event.no, event.amount_minor, aside_minor)
        return _Changes(event.no, (0,), aside_minor)

    def _disputed(self, event: e.DisputeWon | e.DisputeLost) -> _Dispute:
        opened = self._disputes.pop(event.dispute_id, None)
        if opened is None or opened[:2] != (event.no, event.amount_minor):
            raise _Lost(6, f"No such dispute of pledge {event.no} is open.")
        return opened

    def _dispute_won(self, event: e.DisputeWon) -> _Changes:
        return _Changes(event.no, (0,), -self._disputed(event).aside_minor)

    def _dispute_lost(self, event: e.DisputeLost) -> _Changes:
        pledge, aside_minor = self._pledge(event.no), self._disputed(event).aside_minor
        own_minor = remainder(pledge) - set_aside(pledge) + aside_minor
        self._check_split(event, own_minor, in_full=self._stage == "over")
        return self._drawn(event, aside_minor)

    # --- Money going out -------------------------------------------------------------------------

    def _account_verified(self, event: e.PayoutAccountVerified) -> None:
        changed = bool(self._accounts)
        wait_ms = self.state.bound.terms.account_wait_days * DAY_MS if changed else 0
        fine = event.changed == changed and event.usable_from_at == event.at + wait_ms
        self._must(8, "A changed account waits, the first does not.", fine)
        outside = role_of(event.by) in ("staff", "system") and not self.state.is_by_team(event.by)
        self._must(8, "The creator's team verifies its own account.", outside)
        self._accounts = {event.account_id: event.usable_from_at}

    def _may_pay(self, event: e.PayoutRequested | e.PayoutApproved) -> None:
        delay_ms = self.state.bound.terms.payout_delay_days * DAY_MS
        due = self._stage == "won" and event.at >= self._won_at + delay_ms
        self._must(9, "Nothing is paid out before success and its delay.", due)
        self._must(9, "Nothing is paid out while suspended.", not self._suspended)
        ready = event.account_id in self._accounts and event.at >= self._accounts[event.account_id]
        self._must(8, "The payout goes to an account that is not ready.", ready)
        self._must(13, "A discrepancy freezes the payouts.", not self._unsettled)

    def _payout_requested(self, event: e.PayoutRequested) -> None:
        ours = role_of(event.by) == "staff" or self.state.is_by_team(event.by)
        self._must(8, "A payout is requested by the creator's side.", ours)
        self._must(8, "A payout has one id.", event.payout_id not in self.state.payouts)
        self._may_pay(event)
        self._requests[event.payout_id] = event

    def _payout_refused(self, event: e.PayoutRefused) -> None:
        if self._requests.pop(event.payout_id, None) is None:
            raise _Lost(8, "No such payout waits for the treasurer.")
        self._must(8, "A treasurer decides.", role_of(event.by) == "treasurer")

    def _payout_approved(self, event: e.PayoutApproved) -> _Changes:
        asked = self._requests.pop(event.payout_id, None)
        if asked is None:
            raise _Lost(8, "No such payout waits for the treasurer.")
        apart = party_of(event.by) != party_of(asked.by) and not self.state.is_by_team(event.by)
        treasurer = role_of(event.by) == "treasurer"
        self._must(8, "A treasurer who did not ask for it approves.", treasurer and apart)
        same = _range_of(event) == _range_of(asked) and event.account_id == asked.account_id
        self._must(8, "Another payout is approved than was asked for.", same)
        self._may_pay(event)
        taken = shares(self._range(event.from_no, event.to_no), event)
        told, due = event.amount_minor, sum(taken)
        self._must(6, f"The shares sum to {due}, not {told}.", told == due)
        debt_minor = min(told, self._open_debt())
        self._must(6, f"A debt of {debt_minor} is taken first.", event.debt_minor == debt_minor)
        self._approved[event.payout_id] = _Approval(told, event.debt_minor, event.from_no, taken)
        return _Changes(event.from_no, [-share for share in taken])

    def _open_debt(self) -> int:
        """What the creator owes and no payout on its way settles."""
        spoken_for = sum(approval.debt_minor for approval in self._approved.values())
        return self._balances["Receivable"] - spoken_for

    def _fixed(
        self, event: e.PayoutSent | e.PayoutFailed | e.PayoutReturned, among: dict[str, _Approval]
    ) -> _Approval:
        """The payout as it was approved; its amounts are fixed."""
        approval = among.pop(event.payout_id, None)
        if approval is None:
            raise _Lost(8, "There is no such payout on its way.")
        told = (event.amount_minor, getattr(event, "debt_minor", approval.debt_minor))
        fixed = (approval.amount_minor, approval.debt_minor)
        self._must(8, f"Approved was {fixed}, told is {told}.", told == fixed)
        return approval

    def _payout_sent(self, event: e.PayoutSent) -> _Changes:
        self._sent[event.payout_id] = self._fixed(event, self._approved)
        return _Changes()

    def _payout_failed(self, event: e.PayoutFailed) -> _Changes:
        approval = self._fixed(event, self._approved)
        return _Changes(approval.from_no, approval.shares)

    def _payout_returned(self, event: e.PayoutReturned) -> _Changes:
        approval = self._fixed(event, self._sent)
        return _Changes(approval.from_no, approval.shares)

    def _debt_paid(self, event: e.DebtRepaid | e.DebtWrittenOff) -> _Changes:
        open_minor = self._open_debt()
        self._must(6, f"The creator owes {open_minor}.", event.amount_minor <= open_minor)
        return _Changes()

    # --- Facts that fit nothing ------------------------------------------------------------------

    def _discrepancy_recorded(self, event: e.DiscrepancyRecorded) -> _Changes:
        fresh = event.discrepancy_id not in self.state.discrepancies
        self._must(13, "A discrepancy has an id of its own.", fresh)
        self._unsettled[event.discrepancy_id] = event
        return _Changes()

    def _discrepancy_resolved(self, event: e.DiscrepancyResolved) -> _Changes:
        found = self._unsettled.pop(event.discrepancy_id, None)
        if found is None:
            raise _Lost(13, "There is no such open discrepancy.")
        whole = (found.amount_minor, found.provider) == (event.amount_minor, event.provider)
        kept = event.resolution == "written_off" and event.amount_minor > 0
        lost = event.resolution == "noted" and event.amount_minor != 0
        self._must(13, "It is not settled as it came.", whole and not kept and not lost)
        return _Changes()


def _range_of(event: e.PayoutRequested | e.PayoutApproved) -> tuple[object, ...]:
    fraction = (event.numerator, event.denominator)
    return (*fraction, event.from_no, event.to_no, event.except_nos)


def _kind_of(account: str) -> str:
    """The part of an account's name that says what it is for, without whose it is."""
    return "Receivable" if account.startswith("Assets:Receivable") else account.rpartition(":")[2]


_BEFORE: Final[dict[type[e.Event], Callable[[Auditor, Any], _Changes | None]]] = {
    e.CampaignSubmitted: Auditor._submitted,
    e.CampaignResubmitted: Auditor._resubmitted,
    e.CampaignLaunched: Auditor._launched,
    e.CampaignSuspended: Auditor._suspended_or_resumed,
    e.CampaignResumed: Auditor._suspended_or_resumed,
    e.DeadlineExtended: Auditor._deadline_extended,
    e.CampaignSucceeded: Auditor._succeeded,
    e.CampaignFailed: Auditor._over,
    e.CampaignCancelled: Auditor._over,
    e.LatePledgesOpened: Auditor._late_opened_or_closed,
    e.LatePledgesClosed: Auditor._late_opened_or_closed,
    e.RewardAdded: Auditor._reward_added,
    e.RewardChanged: Auditor._reward_changed,
    e.RewardStockChanged: Auditor._stock_changed,
    e.NeedAccepted: Auditor._offer_decided,
    e.NeedDeclined: Auditor._offer_decided,
    e.NeedReceived: Auditor._offer_decided,
    e.HoldPlaced: Auditor._hold_placed,
    e.PledgeMade: Auditor._made,
    e.PledgeRevised: Auditor._revised,
    e.PledgeWithdrawn: Auditor._left,
    e.PledgeDropped: Auditor._left,
    e.PledgeReleased: Auditor._left,
    e.PaymentMethodReplaced: Auditor._not_charged,
    e.CollectionRequested: Auditor._collection_requested,
    e.PledgeCollected: Auditor._collected,
    e.CollectionActionRequired: Auditor._not_charged,
    e.CollectionUnknown: Auditor._not_charged,
    e.CollectionFailed: Auditor._not_charged,
    e.FeesCharged: Auditor._fees_charged,
    e.RefundRequested: Auditor._refund_requested,
    e.PledgeRefunded: Auditor._refunded,
    e.RefundFailed: Auditor._refund_failed,
    e.DisputeOpened: Auditor._dispute_opened,
    e.DisputeWon: Auditor._dispute_won,
    e.DisputeLost: Auditor._dispute_lost,
    e.DeliveryMarked: Auditor._delivered,
    e.DeliveryReceived: Auditor._received,
    e.PayoutAccountVerified: Auditor._account_verified,
    e.PayoutRequested: Auditor._payout_requested,
    e.PayoutApproved: Auditor._payout_approved,
    e.PayoutRefused: Auditor._payout_refused,
    e.PayoutSent: Auditor._payout_sent,
    e.PayoutFailed: Auditor._payout_failed,
    e.PayoutReturned: Auditor._payout_returned,
    e.DebtRepaid: Auditor._debt_paid,
    e.DebtWrittenOff: Auditor._debt_paid,
    e.DiscrepancyRecorded: Auditor._discrepancy_recorded,
    e.DiscrepancyResolved: Auditor._discrepancy_resolved,
}
"""What is looked at before a fact is added; the facts that are not here touch no rule but those
that every fact is held to.
"""
