"""The auditor is no rubber stamp: every rule, broken by hand, is named by its number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from domain import campaign, ledger
from domain import commands as c
from domain import events as e
from domain import invariants as inv
from domain.invariants import Auditor, Violation, check, check_whole
from domain.terms import Line
from tests.domain.scenario import (
    ANNA,
    BEN,
    BOOK,
    CAMPAIGN,
    CLOSE,
    CREATOR,
    CREATOR_ID,
    DEADLINE,
    HASH,
    MUG,
    OTHER_ACCOUNT,
    POSTER,
    STAFF,
    THE_MUG,
    TOO_MUCH,
    TREASURER,
    VERIFY,
    Given,
    a_submission,
    an_id,
    ask,
    charge,
    charged_early,
    days,
    decline,
    disputed,
    do,
    given,
    let_out,
    live,
    paid_by,
    pledge,
    pledge_of,
    refunded,
    sent_out,
    some,
    submit,
    want_back,
    want_out,
)

Stream = list[e.Event]
Forge = Callable[[Stream], Stream]


def renumbered(stream: Stream) -> Stream:
    """The same facts as a stream without gaps, so that only what they say is wrong."""
    return [replace(each, version=number) for number, each in enumerate(stream, 1)]


def changed(kind: type[e.Event], **facts: Any) -> Forge:  # noqa: ANN401 - the facts of any event
    """The last fact of this kind says something else."""

    def forge(stream: Stream) -> Stream:
        index = max(n for n, each in enumerate(stream) if type(each) is kind)
        return [*stream[:index], replace(stream[index], **facts), *stream[index + 1 :]]

    return forge


def without(kind: type[e.Event]) -> Forge:
    """The facts of this kind never happened."""
    return lambda stream: renumbered([each for each in stream if type(each) is not kind])


def twice(kind: type[e.Event], **facts: Any) -> Forge:  # noqa: ANN401 - the facts of any event
    """The last fact of this kind happens again at the end of the stream."""

    def forge(stream: Stream) -> Stream:
        last = next(each for each in reversed(stream) if type(each) is kind)
        return renumbered([*stream, replace(last, at=stream[-1].at, **facts)])

    return forge


def earlier(kind: type[e.Event], ms: int) -> Forge:
    """Everything from the last fact of this kind on happens so much earlier."""

    def forge(stream: Stream) -> Stream:
        index = max(n for n, each in enumerate(stream) if type(each) is kind)
        return stream[:index] + [replace(each, at=each.at - ms) for each in stream[index:]]

    return forge


class Forgery(NamedTuple):
    """A story, what is forged in it, and the rule that this breaks."""

    rule: int
    what: str
    story: list[Given]
    forge: Forge


WON: list[Given] = [*live(), pledge(ANNA, 1_000), days(30), CLOSE]
CHARGED = paid_by(1_000)
TWO = paid_by(1_000, 700)
DUE: list[Given] = [*TWO, days(14), VERIFY]
OUT: list[Given] = [*DUE, want_out(numerator=1, denominator=3), let_out()]
SENT: list[Given] = [*OUT, sent_out(310 + 217)]
BACK: list[Given] = [*TWO, want_back(amount_minor=400)]
OWED: list[Given] = [*SENT, want_back(), refunded()]
EARLY: list[Given] = [*charged_early(1_000, 310), days(30), CLOSE]
WAITING: list[Given] = [*charged_early(1_000, 310), disputed(), days(30), CLOSE]
STRAY: list[Given] = [*DUE, charge(no=9, command_id=an_id(950))]
RESOLVE = do(c.ResolveDiscrepancy, STAFF, discrepancy_id=an_id(950), resolution="returned")
RESUME = [do(c.SuspendCampaign, STAFF, cause="under_review"), do(c.ResumeCampaign, STAFF)]
HOLD = do(c.PlaceHold, f"backer:{ANNA}", hold_id=an_id(80), backer=ANNA, choices=some(MUG))

FORGERIES = [
    Forgery(1, "nothing pledged", WON, changed(e.PledgeMade, amount_minor=0)),
    Forgery(1, "too much pledged", WON, changed(e.PledgeMade, amount_minor=TOO_MUCH)),
    Forgery(1, "a float", WON, changed(e.PledgeMade, amount_minor=1_000.0)),
    Forgery(1, "a boolean", paid_by(1_000), changed(e.PledgeCollected, provider_fee_minor=True)),
    Forgery(1, "a fee too low", CHARGED, changed(e.PledgeCollected, platform_fee_minor=49)),
    Forgery(
        1,
        "a fee rounded up from a half",
        paid_by(50, goal_minor=1),
        changed(e.PledgeCollected, platform_fee_minor=3),
    ),
    Forgery(1, "a sum of fees", EARLY, changed(e.FeesCharged, processing_fee_minor=27)),
    Forgery(1, "a pledge spared its fee", EARLY, changed(e.FeesCharged, except_nos=(1,))),
    Forgery(1, "a goal of nothing", live(), changed(e.CampaignLaunched, goal_minor=0)),
    Forgery(2, "another currency pledged", WON, changed(e.PledgeMade, currency="USD")),
    Forgery(2, "another currency charged", CHARGED, changed(e.PledgeCollected, currency="USD")),
    Forgery(2, "another currency launched", live(), changed(e.CampaignLaunched, currency="USD")),
    Forgery(2, "another goal launched", live(), changed(e.CampaignLaunched, goal_minor=1)),
    Forgery(
        3,
        "one too many",
        [*live(), pledge(ANNA, 1_500, choices=some(MUG, 3))],
        changed(e.PledgeMade, lines=(Line(MUG, 4, 500),)),
    ),
    Forgery(
        3,
        "one too many held",
        [*live(), HOLD],
        changed(e.HoldPlaced, lines=(Line(MUG, 4, 500),)),
    ),
    Forgery(3, "two holds of one backer", [*live(), HOLD], twice(e.HoldPlaced, hold_id=an_id(81))),
    Forgery(
        3,
        "the hold of another",
        [*live(), HOLD, pledge(BEN, 500, choices=some(MUG))],
        changed(e.PledgeMade, hold_id=an_id(80)),
    ),
    Forgery(
        3,
        "a limit below the claims",
        [
            *(*live(), pledge(ANNA, 1_000, choices=some(MUG, 2))),
            do(c.ChangeRewardStock, CREATOR, reward_id=MUG, limit=2),
        ],
        changed(e.RewardStockChanged, limit=1),
    ),
    Forgery(
        3,
        "another promise to a backer",
        [*live(), do(c.ChangeReward, CREATOR, reward=THE_MUG)],
        lambda stream: renumbered(
            [
                *stream[:-1],
                *given(*live(), pledge(ANNA, 500, choices=some(MUG))).events[3:],
                stream[-1],
            ]
        ),
    ),
    Forgery(
        3,
        "a reward that is not there",
        [*live(), pledge(ANNA, 500, choices=some(MUG))],
        changed(e.PledgeMade, lines=(Line(POSTER, 1, 300),)),
    ),
    Forgery(4, "one id twice", WON[:-2], twice(e.PledgeMade, no=2)),
    Forgery(4, "one number twice", WON[:-2], twice(e.PledgeMade, pledge_id=an_id(99))),
    Forgery(4, "a number left out", WON[:-2], changed(e.PledgeMade, no=2)),
    Forgery(5, "more charged than pledged", CHARGED, changed(e.PledgeCollected, amount_minor=1001)),
    Forgery(
        5,
        "charged twice",
        CHARGED[:-1],
        lambda stream: twice(e.PledgeCollected)(given(*paid_by(1_000, 700)[:-1]).events),
    ),
    Forgery(5, "asked for twice", [*WON, ask()], twice(e.CollectionRequested)),
    Forgery(
        5,
        "declined after success",
        TWO,
        lambda stream: renumbered(
            [*stream, replace(given(*WON, ask(), decline()).events[-1], at=stream[-1].at)]
        ),
    ),
    Forgery(
        5, "more asked back than charged", BACK, changed(e.RefundRequested, amount_minor=1_001)
    ),
    Forgery(
        5, "asked back twice", [*TWO, want_back()], twice(e.RefundRequested, refund_id=an_id(9))
    ),
    Forgery(
        5,
        "more disputed than charged",
        [*TWO, disputed()],
        changed(e.DisputeOpened, amount_minor=1001),
    ),
    Forgery(6, "a payout of one cent more", OUT, changed(e.PayoutApproved, amount_minor=528)),
    Forgery(
        6,
        "a payout out of all pledges",
        [*DUE, want_out(to_no=1), let_out()],
        changed(e.PayoutApproved, amount_minor=930 + 651),
    ),
    Forgery(
        6,
        "a refund out of another's money",
        [*SENT, want_back()],
        changed(e.RefundRequested, from_held_minor=1_000, receivable_minor=0),
    ),
    Forgery(
        6,
        "a refund that spares the creator",
        [*TWO, want_back(amount_minor=400)],
        changed(e.RefundRequested, platform_fee_reversed_minor=50),
    ),
    Forgery(
        6,
        "a refund otherwise than asked",
        [*BACK, refunded(amount_minor=400)],
        changed(e.PledgeRefunded, from_held_minor=390, receivable_minor=10),
    ),
    Forgery(
        6,
        "a refund that nobody asked for",
        [*BACK, refunded(amount_minor=400)],
        without(e.RefundRequested),
    ),
    Forgery(
        6,
        "a refund of another pledge",
        [*BACK, refunded(amount_minor=400)],
        changed(e.PledgeRefunded, no=2),
    ),
    Forgery(
        6,
        "a lost dispute out of thin air",
        [*SENT, disputed(), disputed(c.RecordDisputeLost, fee_minor=15)],
        changed(e.DisputeLost, from_held_minor=1_000, receivable_minor=0),
    ),
    Forgery(
        6,
        "a debt not taken",
        [*OWED, want_out(an_id(902), from_no=2), let_out(an_id(902))],
        changed(e.PayoutApproved, debt_minor=0),
    ),
    Forgery(
        6,
        "a debt repaid that is none",
        [*OWED, do(c.WriteOffDebt, TREASURER, amount_minor=10)],
        changed(e.DebtWrittenOff, amount_minor=1_000),
    ),
    Forgery(1, "fees before a refund is known", WAITING, changed(e.FeesCharged, except_nos=())),
    Forgery(7, "another sum at the close", WON, changed(e.CampaignSucceeded, pledged_minor=1_001)),
    Forgery(
        7,
        "another sum released",
        [*live(), pledge(ANNA, 900), days(30), CLOSE],
        changed(e.CampaignFailed, released_minor=800),
    ),
    Forgery(
        7,
        "another sum withdrawn",
        [
            *live(),
            pledge(ANNA, 900),
            do(c.WithdrawPledge, f"backer:{ANNA}", pledge_id=pledge_of(ANNA)),
        ],
        changed(e.PledgeWithdrawn, amount_minor=800),
    ),
    Forgery(
        7,
        "withdrawn twice",
        [
            *live(),
            pledge(ANNA, 900),
            do(c.WithdrawPledge, f"backer:{ANNA}", pledge_id=pledge_of(ANNA)),
        ],
        twice(e.PledgeWithdrawn),
    ),
    Forgery(
        8,
        "approved by the requester",
        [*DUE, want_out(by=STAFF), let_out()],
        changed(e.PayoutApproved, by=f"treasurer:{STAFF[6:]}"),
    ),
    Forgery(
        8,
        "approved by the creator's team",
        OUT,
        changed(e.PayoutApproved, by=f"treasurer:{CREATOR_ID}"),
    ),
    Forgery(8, "approved by staff", OUT, changed(e.PayoutApproved, by=STAFF)),
    Forgery(8, "requested by a backer", OUT, changed(e.PayoutRequested, by=f"backer:{BEN}")),
    Forgery(8, "to an account never verified", OUT, without(e.PayoutAccountVerified)),
    Forgery(8, "to another account", OUT, changed(e.PayoutApproved, account_id=OTHER_ACCOUNT)),
    Forgery(
        8,
        "an account verified by its owner",
        [*CHARGED, VERIFY],
        changed(e.PayoutAccountVerified, by=f"staff:{CREATOR_ID}"),
    ),
    Forgery(
        8,
        "a changed account that does not wait",
        [*DUE, do(c.VerifyPayoutAccount, STAFF, account_id=OTHER_ACCOUNT)],
        changed(e.PayoutAccountVerified, usable_from_at=DEADLINE + days(14)),
    ),
    Forgery(8, "more sent than approved", SENT, changed(e.PayoutSent, amount_minor=600)),
    Forgery(8, "sent without approval", SENT, without(e.PayoutApproved)),
    Forgery(8, "sent twice", SENT, twice(e.PayoutSent)),
    Forgery(8, "a payout never asked for", OUT, without(e.PayoutRequested)),
    Forgery(
        9,
        "charged before success",
        [*live(), pledge(ANNA, 1_000)],
        lambda stream: renumbered(
            [*stream, replace(given(*WON, ask()).events[-1], at=stream[-1].at)]
        ),
    ),
    Forgery(9, "charged while suspended", [*WON, *RESUME, ask()], without(e.CampaignResumed)),
    Forgery(9, "charged without being asked for", CHARGED, without(e.CollectionRequested)),
    Forgery(9, "paid before its delay", OUT, earlier(e.PayoutApproved, 1)),
    Forgery(9, "paid while suspended", [*DUE, *RESUME, want_out()], without(e.CampaignResumed)),
    Forgery(9, "paid before success", OUT, without(e.CampaignSucceeded)),
    Forgery(9, "closed too early", WON, earlier(e.CampaignSucceeded, 1)),
    Forgery(
        9,
        "success without the goal",
        WON,
        lambda stream: changed(e.CampaignSucceeded, pledged_minor=900)(
            changed(e.PledgeMade, amount_minor=900)(stream)
        ),
    ),
    Forgery(9, "pledged after the deadline", WON[:-2], changed(e.PledgeMade, at=DEADLINE)),
    Forgery(
        9,
        "pledged while suspended",
        [*live(), *RESUME, pledge(ANNA, 100)],
        without(e.CampaignResumed),
    ),
    Forgery(9, "fees before success", EARLY, without(e.CampaignSucceeded)),
    Forgery(10, "time runs back", WON, earlier(e.CampaignSucceeded, days(31))),
    Forgery(11, "a version left out", WON, changed(e.CampaignSucceeded, version=6)),
    Forgery(11, "a version twice", WON, changed(e.CampaignSucceeded, version=4)),
    Forgery(11, "another stream", WON, changed(e.PledgeMade, stream=f"campaign:{an_id(3)}")),
    Forgery(11, "another channel", WON, changed(e.PledgeMade, channel=an_id(3))),
    Forgery(11, "no beginning", WON, lambda stream: stream[1:]),
    Forgery(11, "submitted twice", live(), twice(e.CampaignSubmitted)),
    Forgery(11, "launched twice", live(), twice(e.CampaignLaunched)),
    Forgery(12, "a mail address", WON, changed(e.PledgeMade, backer="anna@example.org")),
    Forgery(12, "a name", WON, changed(e.PledgeMade, by="backer:Anna Almeida")),
    Forgery(12, "a role that is none", WON, changed(e.PledgeMade, by=f"friend:{ANNA}")),
    Forgery(12, "an address", WON, changed(e.PledgeMade, destination="Rua das Flores 7")),
    Forgery(12, "a card", WON, changed(e.PledgeMade, payment_method="4242424242424242")),
    Forgery(
        12,
        "a comment",
        [*WON, ask(), decline()],
        changed(e.CollectionFailed, code="Card of Anna is empty"),
    ),
    Forgery(
        12, "a sentence as reference", CHARGED, changed(e.PledgeCollected, reference="paid by Anna")
    ),
    Forgery(
        12,
        "a text instead of its hash",
        [*live(), do(c.PostUpdate, CREATOR, update_id=an_id(90), text=HASH)],
        changed(e.UpdatePosted, text="We are on our way!"),
    ),
    Forgery(12, "a line break", WON, changed(e.PledgeMade, visibility="name\nname")),
    Forgery(
        12,
        "a name deep inside",
        [submit()],
        changed(
            e.CampaignSubmitted,
            submission=a_submission(rewards=(replace(THE_MUG, text="A mug for Anna"),)),
        ),
    ),
    Forgery(
        12,
        "a name among the team",
        [submit()],
        changed(e.CampaignSubmitted, submission=a_submission(team=("Ben",))),
    ),
    Forgery(
        13,
        "paid out in spite of a discrepancy",
        [*STRAY, RESOLVE, want_out(), let_out()],
        without(e.DiscrepancyResolved),
    ),
    Forgery(
        13,
        "settled with another sum",
        [*STRAY, RESOLVE],
        changed(e.DiscrepancyResolved, amount_minor=1),
    ),
    Forgery(
        13,
        "money kept that is not ours",
        [*STRAY, RESOLVE],
        changed(e.DiscrepancyResolved, resolution="written_off"),
    ),
    Forgery(13, "settled twice", [*STRAY, RESOLVE], twice(e.DiscrepancyResolved)),
]


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda each: f"{each.rule}-{each.what}")
def test_a_forged_stream_is_found_out(forgery: Forgery) -> None:
    """A stream that breaks a rule is reported with that rule's number; unforged it is clean."""
    stream = given(*forgery.story).events
    auditor = Auditor(CAMPAIGN)
    found = [fault.rule for each in forgery.forge(stream) for fault in auditor.feed(each)]
    assert forgery.rule in found


def test_every_rule_is_broken_once() -> None:
    """No rule is left out of the forgeries."""
    assert {forgery.rule for forgery in FORGERIES} == set(range(1, 14))


def rules_found(stream: Stream) -> set[int]:
    """The numbers of the rules that a stream breaks."""
    auditor = Auditor(CAMPAIGN)
    return {fault.rule for each in stream for fault in auditor.feed(each)}


def test_an_entry_that_does_not_balance_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 7 sums the journal's own lines: an entry that loses a line does not pass."""
    stream = given(*OWED).events
    monkeypatch.setattr(inv, "lines", lambda event: ledger.lines(event)[1:])
    assert rules_found(stream) == {7}


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (e.PledgeRefunded, 6),
        (e.RefundRequested, 7),
        (e.PayoutApproved, 6),
        (e.PayoutReturned, 6),
        (e.PledgeMade, 4),
    ],
)
def test_a_state_that_does_not_follow_is_found_out(
    monkeypatch: pytest.MonkeyPatch, kind: type[e.Event], rule: int
) -> None:
    """What `evolve` does to a pledge is compared with what the fact says."""
    returned = do(
        c.RecordPayoutReturned,
        "provider:test_bank",
        payout_id=an_id(901),
        amount_minor=527,
        provider="test_bank",
        reference="return/1",
    )
    stream = given(*OWED, returned).events
    first = next(number for number, each in enumerate(stream) if type(each) is kind)

    def nothing(_state: object, _event: e.Event) -> None:
        """Forget the fact."""

    monkeypatch.setitem(campaign.CHANGES, kind, nothing)
    auditor = Auditor(CAMPAIGN)
    assert [fault for each in stream[:first] for fault in auditor.feed(each)] == []
    assert rule in {fault.rule for fault in auditor.feed(stream[first])}


def test_the_auditor_goes_on_after_what_it_cannot_follow() -> None:
    """One refund that nobody asked for is one finding; the facts after it are looked at again."""
    stream = given(*BACK, refunded(amount_minor=400), days(14), VERIFY).events
    forged = without(e.RefundRequested)(stream)
    auditor = Auditor(CAMPAIGN)
    found = [[fault.rule for fault in auditor.feed(each)] for each in forged]
    assert found[-2:] == [[6], []]
    assert auditor.state.version == len(forged)


WHOLE: list[tuple[int, str, Callable[[campaign.Campaign], object]]] = [
    (3, "claimed", lambda state: setattr(state.stocks[MUG], "claimed", 0)),
    (3, "held", lambda state: setattr(state.stocks[BOOK], "held", 1)),
    (4, "by id", lambda state: state.no_by_id.clear()),
    (5, "refunded", lambda state: setattr(state.pledges[0].funds, "refunded_minor", 1_001)),
    (6, "remainder", lambda state: setattr(state.pledges[0].funds, "paid_minor", 1_001)),
    (7, "set aside", lambda state: setattr(state.pledges[1].funds, "set_aside_minor", 1)),
    (7, "figures", lambda state: setattr(state.figures, "held_minor", 1)),
    (7, "open", lambda state: setattr(state, "open_pledges", 1)),
]


@pytest.mark.parametrize(
    ("rule", "what", "spoil"), WHOLE, ids=[f"{rule}-{what}" for rule, what, _ in WHOLE]
)
def test_a_spoiled_state_is_found_out(
    rule: int, what: str, spoil: Callable[[campaign.Campaign], object]
) -> None:
    """`check_whole` counts again what a snapshot may have spoiled."""
    story = given(*live(), pledge(ANNA, 1_000, choices=some(MUG, 2)), pledge(BEN, 500), days(30))
    for step in (CLOSE, ask(1), charge(1), ask(2), charge(2, amount_minor=500)):
        story.go(step)
    assert check_whole(story.state) == []
    spoil(story.state)
    assert rule in {fault.rule for fault in check_whole(story.state)}, what


def test_check_looks_at_the_state_after_a_fact() -> None:
    """`check` alone, without an auditor's memory, sees an oversold reward and a stale state."""
    story = given(*live(), pledge(ANNA, 1_500, choices=some(MUG, 3)))
    last = story.events[-1]
    assert check(story.state, last) == []
    story.state.stocks[MUG].claimed = 4
    assert {fault.rule for fault in check(story.state, last)} == {3}
    story.state.version += 1
    assert {fault.rule for fault in check(story.state, last)} == {3, 11}


def test_a_finding_does_not_repeat_what_it_found() -> None:
    """A name in an event must not be told on by the report about it."""
    forged = changed(e.PledgeMade, backer="Anna Almeida")(given(*live(), pledge(ANNA, 5)).events)
    auditor = Auditor(CAMPAIGN)
    found: list[Violation] = [fault for each in forged for fault in auditor.feed(each)]
    assert [fault.rule for fault in found] == [12]
    assert "Almeida" not in found[0].detail
