"""The thirteen rules, checked from outside: what must hold after every fact of a campaign.

The rules of `decide` say what may happen next; this only looks at what did happen. It asks
nothing of the files that decide: its sums, its rounding and its split of a refund are its own
(`domain.checks`), so that one mistake does not excuse itself. `docs/rules.md` says which rule is
checked where.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from domain import events as e
from domain.campaign import evolve
from domain.checks import life, money
from domain.checks.fields import Violation, check_fields, learn, looks_known
from domain.checks.memory import Changes, Lost, Memory
from domain.checks.recount import remainder, set_aside
from domain.checks.whole import AFTER, NOT_AT_THIS_VERSION, check, check_whole
from domain.ids import is_id
from domain.ledger import lines
from domain.state import Campaign, new_campaign

__all__ = ["Auditor", "Violation", "check", "check_whole"]

_BEFORE: Final[dict[type[e.Event], Callable[[Memory, Any], Changes | None]]] = {
    e.CampaignSubmitted: life.submitted,
    e.CampaignResubmitted: life.resubmitted,
    e.CampaignLaunched: life.launched,
    e.CampaignSuspended: life.suspended_or_resumed,
    e.CampaignResumed: life.suspended_or_resumed,
    e.DeadlineExtended: life.deadline_extended,
    e.CampaignSucceeded: life.succeeded,
    e.CampaignFailed: life.over,
    e.CampaignCancelled: life.over,
    e.LatePledgesOpened: life.late_opened_or_closed,
    e.LatePledgesClosed: life.late_opened_or_closed,
    e.RewardAdded: life.reward_added,
    e.RewardChanged: life.reward_changed,
    e.RewardStockChanged: life.stock_changed,
    e.NeedAccepted: life.offer_decided,
    e.NeedDeclined: life.offer_decided,
    e.NeedReceived: life.offer_decided,
    e.HoldPlaced: life.hold_placed,
    e.PledgeMade: life.made,
    e.PledgeRevised: life.revised,
    e.PledgeWithdrawn: life.left,
    e.PaymentMethodReplaced: life.not_charged,
    e.CollectionRequested: money.collection_requested,
    e.PledgeCollected: money.collected,
    e.CollectionActionRequired: life.not_charged,
    e.CollectionUnknown: life.not_charged,
    e.CollectionFailed: life.not_charged,
    e.PledgeDropped: life.left,
    e.PledgeReleased: life.left,
    e.FeesCharged: money.fees_charged,
    e.RefundRequested: money.refund_requested,
    e.PledgeRefunded: money.refunded,
    e.RefundFailed: money.refund_failed,
    e.DisputeOpened: money.dispute_opened,
    e.DisputeWon: money.dispute_won,
    e.DisputeLost: money.dispute_lost,
    e.DeliveryMarked: life.delivered,
    e.DeliveryReceived: life.received,
    e.PayoutAccountVerified: money.account_verified,
    e.PayoutRequested: money.payout_requested,
    e.PayoutApproved: money.payout_approved,
    e.PayoutRefused: money.payout_refused,
    e.PayoutSent: money.payout_sent,
    e.PayoutFailed: money.payout_failed,
    e.PayoutReturned: money.payout_returned,
    e.DebtRepaid: money.debt_paid,
    e.DebtWrittenOff: money.debt_paid,
    e.DiscrepancyRecorded: life.discrepancy_recorded,
    e.DiscrepancyResolved: life.discrepancy_resolved,
}
"""What is looked at before a fact is added. A fact that is not here is held only to the rules that
every fact is held to.
"""

_Before = Callable[[Memory, Any], Changes | None]
_After = Callable[[Campaign, Any], Sequence[Violation]]

_LOOKS: Final[dict[type[e.Event], tuple[_Before | None, bool, _After | None]]] = {
    kind: (_BEFORE.get(kind), "currency" in kind.__struct_fields__, AFTER.get(kind))
    for kind in e.EVENT_TYPES.values()
}
"""Of each fact: what is looked at before, whether it has a currency, what is looked at after."""


class Auditor:
    """Follows one campaign's stream from its first fact and says which rules each fact breaks.

    It keeps its own books beside the state: what `evolve` does to a pledge's money is compared
    with what the fact says and with the journal. After a fact that no state can follow it goes on
    with the next, as far as that is possible.
    """

    def __init__(self, campaign_id: str) -> None:
        """Begin before the first fact."""
        self._memory = Memory(new_campaign(campaign_id))
        self._named = is_id(campaign_id)

    @property
    def state(self) -> Campaign:
        """The campaign after the facts so far."""
        return self._memory.state

    def feed(
        self, event: e.Event, body: bytes = b"", entry: Sequence[tuple[str, int]] | None = None
    ) -> Sequence[Violation]:
        """Add the next fact of the stream; return what it breaks, empty when all is well.

        Who has them at hand gives the fact's canonical bytes and the lines of its journal entry,
        which saves time and finds the same.
        """
        memory, kind = self._memory, type(event)
        state = memory.state
        if memory.found:
            memory.found = []
        if event.stream != state.stream:
            fields: Sequence[Violation] = check_fields(event)
            memory.say(11, f"{event.stream} {event.version} follows version {state.version}.")
        else:
            fields = self._check_fields(event, body)
            if event.version != state.version + 1:
                memory.say(11, f"{event.stream} {event.version} follows version {state.version}.")
        if event.at < state.last_at:
            memory.say(10, f"Time runs back from {state.last_at} to {event.at}.")
        if event.channel != state.channel and state.channel:
            memory.say(11, "A campaign stays in its channel.")
        before, has_currency, after = _LOOKS[kind]
        try:
            if state.submission is None:
                _require_submission(event)
            changes = before(memory, event) if before is not None else None
        except Lost as lost:
            state.version, state.last_at = event.version, event.at
            return [*memory.found, lost.violation, *fields]
        if changes is None:
            evolve(state, event)
        else:
            _follow_money(memory, event, changes, lines(event) if entry is None else entry)
        if has_currency and event.currency != state.bound.currency:  # type: ignore[attr-defined] # it has one
            memory.say(2, f"The campaign has another currency than this {kind.__name__}.")
        figures = state.figures
        if figures.pledged_minor != memory.pledged_minor or figures.pledges != memory.pledges:
            memory.say(7, "What is pledged is not the sum of the pledges that stand.")
        if fields:
            memory.found += fields
        if state.version != event.version or state.last_at != event.at:
            memory.say(11, NOT_AT_THIS_VERSION)
        if after is not None:
            faults = after(state, event)
            if faults:
                memory.found += faults
        return memory.found or []

    def _check_fields(self, event: e.Event, body: bytes) -> Sequence[Violation]:
        """Look at every field, quickly where one of the same shape was fine."""
        if not body or not self._named:
            return check_fields(event)
        if looks_known(event, body):
            return ()
        found = check_fields(event)
        if not found:
            learn(event, body)
        return found

    def check_whole(self) -> list[Violation]:
        """Check all of the state, and the state against the journal. Grows with the campaign."""
        found = check_whole(self.state)
        if sum(map(remainder, self.state.pledges)) != -self._memory.balances["Held"]:
            found.append(Violation(7, "The remainders are not what the journal holds."))
        return found


def _require_submission(event: e.Event) -> None:
    if type(event) is not e.CampaignSubmitted:
        raise Lost(11, "The stream does not begin with what was submitted.")


def _follow_money(
    memory: Memory, event: e.Event, changes: Changes, entry: Sequence[tuple[str, int]]
) -> None:
    """Evolve, and compare each touched pledge with what was to happen to it."""
    first, remainders, aside_due_minor = changes
    first -= 1
    pledges = memory.state.pledges[first : first + len(remainders)]
    before = [remainder(pledge) for pledge in pledges]
    aside_minor = 0
    for pledge in pledges:
        aside_minor -= set_aside(pledge)
    evolve(memory.state, event)
    for pledge, was_minor, by_minor in zip(pledges, before, remainders, strict=True):
        aside_minor += set_aside(pledge)
        now_minor = remainder(pledge)
        memory.remainders_minor += now_minor - was_minor
        if now_minor != was_minor + by_minor:
            memory.say(6, f"Pledge {pledge.no}: {now_minor}, not {was_minor + by_minor} is left.")
    memory.aside_minor += aside_minor
    if aside_minor != aside_due_minor:
        memory.say(7, f"{aside_minor} more are set aside, {aside_due_minor} are due.")
    _post(memory, entry)


def _post(memory: Memory, entry: Sequence[tuple[str, int]]) -> None:
    """Rule 7: the entry balances, and books, remainders and figures say the same."""
    books, kinds, total_minor = memory.balances, memory.kinds, 0
    for account, amount_minor in entry:
        total_minor += amount_minor
        kind = kinds.get(account)
        if kind is None:
            kind = kinds[account] = _kind_of(account)
        books[kind] += amount_minor
    if total_minor:
        memory.say(7, "The journal entry does not sum to zero.")
    held_minor, on_the_way_minor = -books["Held"], -books["Payout"]
    remainders_minor = memory.remainders_minor
    if held_minor != remainders_minor:
        memory.say(7, f"The journal holds {held_minor}, the pledges {remainders_minor}.")
    if not (0 <= memory.aside_minor <= held_minor and on_the_way_minor >= 0):
        memory.say(7, "More is set aside than held.")
    figures = memory.state.figures
    if not (
        figures.held_minor == held_minor + on_the_way_minor
        and figures.on_the_way_minor == on_the_way_minor
        and figures.fees_minor == -books["PlatformFee"] - books["ProcessingFee"]
        and figures.owed_minor == books["Receivable"]
        and figures.disputed_minor == books["Disputed"]
        and figures.suspense_minor == -books["Suspense"]
        and figures.charged_minor == memory.charged_minor
        and figures.returned_minor == memory.returned_minor
    ):
        _name_figures(memory)
    sources = figures.charged_minor + figures.owed_minor + figures.written_off_minor
    uses = figures.held_minor + figures.paid_minor + figures.fees_minor + figures.returned_minor
    if sources != uses:
        memory.say(7, "The five numbers do not reconcile.")
    if figures.owed_minor < 0:
        memory.say(7, "The creator's debt is negative.")


def _name_figures(memory: Memory) -> None:
    books, figures = memory.balances, memory.state.figures
    held_minor, on_the_way_minor = -books["Held"], -books["Payout"]
    told = (
        *(figures.held_minor, figures.on_the_way_minor, figures.fees_minor, figures.owed_minor),
        *(figures.disputed_minor, figures.suspense_minor),
        *(figures.charged_minor, figures.returned_minor),
    )
    booked = (
        *(held_minor + on_the_way_minor, on_the_way_minor),
        -books["PlatformFee"] - books["ProcessingFee"],
        *(books["Receivable"], books["Disputed"], -books["Suspense"]),
        *(memory.charged_minor, memory.returned_minor),
    )
    memory.say(7, f"The figures {told} are not the books' {booked}.")


def _kind_of(account: str) -> str:
    """The part of an account's name that says what it is for, without whose it is."""
    return "Receivable" if account.startswith("Assets:Receivable") else account.rpartition(":")[2]
