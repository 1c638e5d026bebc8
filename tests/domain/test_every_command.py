"""Every command has a story in which it is done, and every reason to refuse one in which it is."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from domain import commands as c
from domain import errors
from domain import events as e
from domain.campaign import CHANGES, RULES, decide, evolve, new_campaign
from domain.terms import MAX_AT, MAX_PIECES, Choice
from tests.domain.scenario import (
    ACCOUNT,
    ANNA,
    APPROVE,
    BANK,
    BEN,
    BOOK,
    CAMPAIGN,
    CHANNEL,
    CLOSE,
    CREATOR,
    CREATOR_ID,
    DEADLINE,
    FIRST_HALF,
    HASH,
    LAUNCH,
    MILESTONES,
    MUG,
    OTHER_ACCOUNT,
    PAYOUT,
    POSTER,
    SECOND_HALF,
    STAFF,
    START,
    STICKER,
    SYSTEM,
    TEAM,
    TEAM_ID,
    THE_MUG,
    THE_POSTER,
    TOO_MUCH,
    TREASURER,
    VENUE,
    VERIFY,
    Given,
    Step,
    Story,
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

WITHDRAW = do(c.WithdrawPledge, f"backer:{ANNA}", pledge_id=pledge_of(ANNA))
REPLACE = do(
    c.ReplacePaymentMethod,
    f"backer:{ANNA}",
    pledge_id=pledge_of(ANNA),
    payment_method=an_id(95),
)
RESOLVED = {"resolution": "returned", "discrepancy_id": an_id(950)}
STRAY = charge(no=7, command_id=an_id(950))
OFFER = do(c.OfferNeed, f"backer:{ANNA}", offer_id=an_id(70), need_id=VENUE, quantity=1)
SUSPEND = do(c.SuspendCampaign, STAFF, cause="under_review")
CANCEL = do(c.CancelCampaign, STAFF, cause="creator_unreachable")
OPEN_LATE = do(c.OpenLatePledges, CREATOR)
HOLD = do(c.PlaceHold, f"backer:{ANNA}", hold_id=an_id(80), backer=ANNA, choices=some(MUG))
WON: list[Given] = [*live(), pledge(ANNA, 1_000), days(30), CLOSE]
CHARGED = paid_by(1_000)
DUE: list[Given] = [*CHARGED, days(14), VERIFY]
OWED: list[Given] = [*DUE, want_out(), let_out(), sent_out(930), want_back(), refunded()]
REVISED = {"pledge_id": pledge_of(ANNA), "amount_minor": 1_200}
REPAID = {"amount_minor": 10, "provider": "test_bank", "reference": "transfer/1"}

DONE: dict[type[c.Command], list[Given]] = {
    c.SubmitCampaign: [submit()],
    c.ReturnCampaign: [submit(), do(c.ReturnCampaign, STAFF, text=HASH)],
    c.ResubmitCampaign: [
        *(submit(), do(c.ReturnCampaign, STAFF, text=HASH)),
        do(c.ResubmitCampaign, CREATOR, submission=a_submission(goal_minor=2_000)),
    ],
    c.ApproveCampaign: [submit(), APPROVE],
    c.LaunchCampaign: [submit(), APPROVE, LAUNCH],
    c.SuspendCampaign: [*live(), SUSPEND],
    c.ResumeCampaign: [*live(), SUSPEND, do(c.ResumeCampaign, STAFF)],
    c.ExtendDeadline: [*live(), do(c.ExtendDeadline, CREATOR, deadline_at=DEADLINE + 1)],
    c.CloseCampaign: WON,
    c.CancelCampaign: [*live(), CANCEL],
    c.OpenLatePledges: [*WON, OPEN_LATE],
    c.CloseLatePledges: [*WON, OPEN_LATE, do(c.CloseLatePledges, CREATOR)],
    c.PostUpdate: [*live(), do(c.PostUpdate, CREATOR, update_id=an_id(90), text=HASH)],
    c.ChangeStory: [*live(), do(c.ChangeStory, TEAM, text=HASH)],
    c.UpdatePlan: [*CHARGED, do(c.UpdatePlan, CREATOR, text=HASH)],
    c.AddReward: [*live(), do(c.AddReward, CREATOR, reward=THE_POSTER)],
    c.ChangeReward: [*live(), do(c.ChangeReward, CREATOR, reward=replace(THE_MUG, limit=9))],
    c.ChangeRewardStock: [*live(), do(c.ChangeRewardStock, CREATOR, reward_id=MUG, limit=None)],
    c.OfferNeed: [*live(), OFFER],
    c.AcceptNeed: [*live(), OFFER, do(c.AcceptNeed, CREATOR, offer_id=an_id(70))],
    c.DeclineNeed: [*live(), OFFER, do(c.DeclineNeed, CREATOR, offer_id=an_id(70))],
    c.ReceiveNeed: [
        *(*live(), OFFER, do(c.AcceptNeed, CREATOR, offer_id=an_id(70))),
        do(c.ReceiveNeed, CREATOR, offer_id=an_id(70)),
    ],
    c.PlaceHold: [*live(), HOLD],
    c.LapseHold: [*live(), HOLD, do(c.LapseHold, f"backer:{ANNA}", hold_id=an_id(80))],
    c.MakePledge: [*live(), pledge(ANNA, 500, choices=some(MUG))],
    c.RevisePledge: [
        *(*live(), pledge(ANNA, 1_000)),
        do(c.RevisePledge, f"backer:{ANNA}", **REVISED),
    ],
    c.WithdrawPledge: [*live(), pledge(ANNA, 1_000), WITHDRAW],
    c.ReplacePaymentMethod: [
        *(*live(), pledge(ANNA, 1_000)),
        REPLACE,
    ],
    c.RequestCollection: [*WON, ask()],
    c.RecordCollected: CHARGED,
    c.RecordActionRequired: [*WON, ask(), do(c.RecordActionRequired, BANK, no=1, attempt=1)],
    c.RecordCollectionUnknown: [*WON, ask(), do(c.RecordCollectionUnknown, BANK, no=1, attempt=1)],
    c.RecordCollectionFailed: [*WON, ask(), decline()],
    c.DropPledge: [*WON, ask(), decline(), days(7), do(c.DropPledge, SYSTEM, no=1)],
    c.RequestRefund: [*CHARGED, want_back()],
    c.RecordRefunded: [*CHARGED, want_back(), refunded()],
    c.RecordRefundFailed: [
        *(*CHARGED, want_back()),
        do(c.RecordRefundFailed, BANK, no=1, refund_id=an_id(801), code="account_closed"),
    ],
    c.RecordDisputeOpened: [*CHARGED, disputed()],
    c.RecordDisputeWon: [*CHARGED, disputed(), disputed(c.RecordDisputeWon)],
    c.RecordDisputeLost: [*CHARGED, disputed(), disputed(c.RecordDisputeLost, fee_minor=15)],
    c.MarkDelivered: [*CHARGED, do(c.MarkDelivered, CREATOR, nos=(1,))],
    c.ConfirmReceived: [
        *CHARGED,
        do(c.ConfirmReceived, f"backer:{ANNA}", pledge_id=pledge_of(ANNA)),
    ],
    c.VerifyPayoutAccount: [*CHARGED, VERIFY],
    c.RequestPayout: [*DUE, want_out()],
    c.ApprovePayout: [*DUE, want_out(), let_out()],
    c.RefusePayout: [
        *(*DUE, want_out()),
        do(c.RefusePayout, TREASURER, payout_id=PAYOUT, cause="plan_unclear"),
    ],
    c.RevokePayout: [
        *(*DUE, want_out(), let_out(), SUSPEND),
        do(c.RevokePayout, TREASURER, payout_id=PAYOUT),
    ],
    c.RecordPayoutSent: [*DUE, want_out(), let_out(), sent_out(930)],
    c.RecordPayoutFailed: [
        *(*DUE, want_out(), let_out()),
        do(c.RecordPayoutFailed, BANK, payout_id=PAYOUT, code="account_closed"),
    ],
    c.RecordPayoutReturned: [
        *(*DUE, want_out(), let_out(), sent_out(930)),
        do(
            c.RecordPayoutReturned,
            BANK,
            payout_id=PAYOUT,
            amount_minor=930,
            provider="test_bank",
            reference="return/1",
        ),
    ],
    c.RecordRepayment: [*OWED, do(c.RecordRepayment, TREASURER, **REPAID)],
    c.WriteOffDebt: [*OWED, do(c.WriteOffDebt, TREASURER, amount_minor=10)],
    c.ResolveDiscrepancy: [*live(), STRAY, do(c.ResolveDiscrepancy, STAFF, **RESOLVED)],
}
"""For every command the shortest story that ends with it."""


@pytest.mark.parametrize("command", c.COMMANDS, ids=lambda each: each.__name__)
def test_every_command_can_be_done(command: type[c.Command]) -> None:
    """Each command leads from a plain story to facts that bear its id, its actor and its time."""
    *before, last = DONE[command]
    assert isinstance(last, Step)
    assert last.command is command
    story = given(*before)
    outcome = story.when(last)
    assert outcome.refusal is None, outcome.refusal
    assert outcome.facts
    for number, each in enumerate(outcome.facts):
        assert each.stream == f"campaign:{CAMPAIGN}"
        assert each.version == len(story.events) - len(outcome.facts) + number + 1
        assert (each.by, each.at, each.channel) == (last.by, story.at, CHANNEL)
    assert len({each.command_id for each in outcome.facts}) == 1


REFUSED: list[tuple[str, list[Given]]] = [
    ("command_expired", [*live(), pledge(ANNA, 100, expires_at=START - 1)]),
    ("campaign_unknown", [pledge(ANNA, 100)]),
    ("campaign_exists", [submit(), submit()]),
    ("other_channel", [submit(), do(c.ApproveCampaign, STAFF, acting_in=MUG)]),
    (
        "other_channel",
        [do(c.SubmitCampaign, STAFF, channel=CHANNEL, submission=a_submission(), acting_in=MUG)],
    ),
    ("not_allowed", [submit(), do(c.ApproveCampaign, CREATOR)]),
    ("not_allowed", [submit(team=(STAFF[6:],)), APPROVE]),
    ("not_allowed", [do(c.SubmitCampaign, TEAM, channel=CHANNEL, submission=a_submission())]),
    ("not_allowed", [*live(), do(c.CloseCampaign, CREATOR)]),
    ("not_allowed", [*WON, do(c.CancelCampaign, CREATOR, cause="changed_plans")]),
    ("not_allowed", [*CHARGED, want_back(by=f"backer:{ANNA}")]),
    ("not_allowed", [*CHARGED, do(c.VerifyPayoutAccount, TREASURER, account_id=ACCOUNT)]),
    ("content_invalid", [submit(goal_minor=0)]),
    ("content_invalid", [submit(goal_minor=TOO_MUCH)]),
    ("content_invalid", [submit(deadline_at=START)]),
    ("content_invalid", [submit(deadline_at=MAX_AT + 1)]),
    ("content_invalid", [submit(currency="XAU")]),
    ("content_invalid", [submit(model="flexible")]),
    ("content_invalid", [submit(rewards=(replace(THE_MUG, limit=MAX_PIECES + 1),))]),
    ("content_invalid", [submit(rewards=(THE_MUG, THE_MUG))]),
    ("content_invalid", [submit(milestones=MILESTONES[:1])]),
    ("content_invalid", [*live(), pledge(ANNA, 100, payment_method="4242424242424242")]),
    ("content_invalid", [*live(), pledge(ANNA, 100, destination="*")]),
    ("content_invalid", [*live(), pledge("anna@example.org", 100)]),
    ("content_invalid", [*live(), pledge(ANNA, 100, command_id="checkout of Anna")]),
    ("content_invalid", [*WON, ask(), charge(reference="paid by Anna")]),
    ("content_invalid", [*WON, ask(), charge(provider_fee_minor=-1)]),
    ("content_invalid", [*WON, ask(), decline(code="No money!")]),
    ("content_invalid", [*CHARGED, disputed(dispute_id="Anna's dispute")]),
    ("content_invalid", [*CHARGED, want_back(cause="withdrawn")]),
    ("content_invalid", [*CHARGED, do(c.MarkDelivered, CREATOR, nos=(1, 1))]),
    ("content_invalid", [*DUE, want_out(to_no=2)]),
    ("content_invalid", [*DUE, want_out(numerator=3, denominator=2)]),
    ("content_invalid", [*DUE, want_out(except_nos=(1, 1))]),
    ("wrong_phase", [submit(), LAUNCH]),
    ("wrong_phase", [submit(), APPROVE, days(30), LAUNCH]),
    ("wrong_phase", [*live(), do(c.ResumeCampaign, STAFF)]),
    ("wrong_phase", [*live(), CANCEL, CANCEL]),
    ("wrong_phase", [*CHARGED, want_back(cause="failed")]),
    ("wrong_phase", [*live(), want_out()]),
    ("wrong_phase", [*WON, OPEN_LATE, OPEN_LATE]),
    ("wrong_phase", [*live(), do(c.CloseLatePledges, CREATOR)]),
    ("campaign_suspended", [*live(), SUSPEND, pledge(ANNA, 100)]),
    ("campaign_suspended", [*WON, SUSPEND, ask()]),
    ("campaign_suspended", [*DUE, want_out(), SUSPEND, let_out()]),
    ("campaign_suspended", [*live(), SUSPEND, SUSPEND]),
    ("campaign_closed", [*live(), days(30), pledge(ANNA, 100)]),
    ("campaign_closed", [submit(), APPROVE, pledge(ANNA, 100)]),
    ("campaign_closed", [*WON, pledge(BEN, 100)]),
    ("deadline_not_reached", [*live(), days(30) - 1, CLOSE]),
    ("deadline_fixed", [*DONE[c.ExtendDeadline], DONE[c.ExtendDeadline][-1]]),
    ("deadline_fixed", [*live(), do(c.ExtendDeadline, CREATOR, deadline_at=DEADLINE)]),
    (
        "deadline_fixed",
        [*live(), days(30), do(c.ExtendDeadline, CREATOR, deadline_at=DEADLINE + days(9))],
    ),
    ("currency_mismatch", [*live(), pledge(ANNA, 100, currency="USD")]),
    ("amount_invalid", [*live(), pledge(ANNA, 0)]),
    ("amount_invalid", [*live(), pledge(ANNA, TOO_MUCH)]),
    ("amount_invalid", [*live(), pledge(ANNA, 100.0)]),  # type: ignore[arg-type] # rule 1 says so
    ("amount_invalid", [*OWED, do(c.WriteOffDebt, TREASURER, amount_minor=0)]),
    ("amount_too_small", [*live(), pledge(ANNA, 499, choices=some(MUG))]),
    ("amount_too_small", [*live(), pledge(ANNA, 1_199, choices=some(BOOK), destination="BR")]),
    ("reward_unknown", [*live(), pledge(ANNA, 500, choices=some(POSTER))]),
    ("reward_unknown", [*live(), do(c.ChangeReward, CREATOR, reward=THE_POSTER)]),
    ("reward_choice_invalid", [*live(), pledge(ANNA, 500, choices=some(STICKER))]),
    ("reward_choice_invalid", [*live(), pledge(ANNA, 500, choices=some(MUG, 0))]),
    ("reward_choice_invalid", [*live(), pledge(ANNA, 2_000, choices=some(MUG) + some(MUG))]),
    ("reward_choice_invalid", [*live(), pledge(ANNA, 2_000, choices=(Choice(MUG),) * 51)]),
    ("not_shipped_there", [*live(), pledge(ANNA, 9_000, choices=some(BOOK), destination="CN")]),
    ("sold_out", [*live(), pledge(ANNA, 2_000, choices=some(MUG, 4))]),
    ("sold_out", [*live(), HOLD, pledge(BEN, 2_000, choices=some(MUG, 3))]),
    (
        "sold_out",
        [
            *(*live(), pledge(ANNA, 1_500, choices=some(MUG, 3))),
            do(c.PlaceHold, f"backer:{BEN}", hold_id=an_id(81), backer=BEN, choices=some(MUG)),
        ],
    ),
    (
        "sold_out",
        [
            *(*live(), pledge(ANNA, 500, choices=some(MUG)), pledge(BEN, 1_000)),
            do(
                c.RevisePledge,
                f"backer:{BEN}",
                pledge_id=pledge_of(BEN),
                amount_minor=1_500,
                choices=some(MUG, 3),
            ),
        ],
    ),
    ("reward_promised", [*DONE[c.MakePledge], do(c.ChangeReward, CREATOR, reward=THE_MUG)]),
    (
        "stock_below_claimed",
        [
            *(*live(), pledge(ANNA, 1_000, choices=some(MUG, 2))),
            do(c.ChangeRewardStock, CREATOR, reward_id=MUG, limit=1),
        ],
    ),
    (
        "hold_not_needed",
        [
            *live(),
            do(c.PlaceHold, f"backer:{ANNA}", hold_id=an_id(80), backer=ANNA, choices=some(BOOK)),
        ],
    ),
    ("own_campaign", [*live(), pledge(CREATOR_ID, 100)]),
    ("own_campaign", [*live(), pledge(TEAM_ID, 100, by=STAFF)]),
    ("pledge_unknown", [*live(), WITHDRAW]),
    ("pledge_unknown", [*WON, ask(no=2)]),
    ("pledge_id_reused", [*live(), pledge(ANNA, 100), pledge(ANNA, 101)]),
    ("pledge_id_reused", [*live(), pledge(ANNA, 100), pledge(BEN, 100, pledge_of(ANNA))]),
    ("not_your_pledge", [*live(), pledge(ANNA, 100, by=f"backer:{BEN}")]),
    (
        "not_your_pledge",
        [
            *(*live(), pledge(ANNA, 100)),
            do(c.WithdrawPledge, f"backer:{BEN}", pledge_id=pledge_of(ANNA)),
        ],
    ),
    ("not_your_pledge", [*live(), HOLD, do(c.LapseHold, SYSTEM, hold_id=an_id(80))]),
    ("pledge_not_revisable", [*WON, ask(), do(c.RevisePledge, f"backer:{ANNA}", **REVISED)]),
    ("pledge_not_revisable", [*WON, OPEN_LATE, do(c.RevisePledge, f"backer:{ANNA}", **REVISED)]),
    ("pledge_not_withdrawable", [*WON, WITHDRAW]),
    ("pledge_not_withdrawable", [*WON, ask(), WITHDRAW]),
    ("pledge_not_withdrawable", [*CHARGED, WITHDRAW]),
    ("withdrawal_period_over", [*charged_early(1_000), days(14), WITHDRAW]),
    ("goal_protected", [*live(), pledge(ANNA, 1_000), days(29), WITHDRAW]),
    (
        "goal_protected",
        [
            *(*live(), pledge(ANNA, 1_000), days(29.5)),
            do(c.RevisePledge, f"backer:{ANNA}", pledge_id=pledge_of(ANNA), amount_minor=999),
        ],
    ),
    ("collection_too_early", [*live(), pledge(ANNA, 1_000), ask()]),
    ("collection_too_early", [*live(), pledge(ANNA, 900), days(30), CLOSE, ask()]),
    ("pledge_not_collectable", [*CHARGED[:-1], ask(attempt=2)]),
    ("pledge_not_collectable", [*CHARGED, REPLACE]),
    ("pledge_not_collectable", [*WON, do(c.DropPledge, SYSTEM, no=1)]),
    ("attempt_over", [*WON, ask(attempt=2)]),
    ("grace_not_over", [*WON, ask(), decline(), days(7) - 1, do(c.DropPledge, SYSTEM, no=1)]),
    ("refund_id_reused", [*CHARGED, want_back(amount_minor=100), want_back(amount_minor=200)]),
    ("refund_too_large", [*CHARGED, want_back(amount_minor=1_001)]),
    ("refund_too_large", [*CHARGED, want_back(), want_back(refund_id=an_id(809))]),
    ("dispute_open", [*CHARGED, disputed(amount_minor=1), want_back()]),
    ("payout_id_reused", [*DUE, want_out(), want_out(numerator=1, denominator=2)]),
    ("payout_unknown", [*DUE, let_out()]),
    ("payout_not_waiting", [*DUE, want_out(), let_out(), let_out()]),
    ("payout_too_early", [*CHARGED, VERIFY, days(14) - 1, want_out()]),
    ("payouts_frozen", [*DUE, STRAY, want_out()]),
    ("payouts_frozen", [*DUE, want_out(), STRAY, let_out()]),
    ("payout_in_flight", [*DUE, want_out(), let_out(), CANCEL]),
    (
        "plan_needed",
        [
            *(*live(), pledge(ANNA, 900), pledge(BEN, 100), days(30), CLOSE),
            *(ask(1), charge(1, amount_minor=900), ask(2), decline(2), days(14), VERIFY),
            want_out(),
        ],
    ),
    ("account_not_ready", [*CHARGED, days(14), want_out()]),
    (
        "account_not_ready",
        [*DUE, do(c.VerifyPayoutAccount, STAFF, account_id=OTHER_ACCOUNT), days(7) - 1, want_out()],
    ),
    (
        "account_not_ready",
        [
            *(*DUE, want_out(), do(c.VerifyPayoutAccount, STAFF, account_id=OTHER_ACCOUNT)),
            *(days(7), let_out()),
        ],
    ),
    ("self_approval", [*DUE, want_out(by=f"staff:{an_id(32)}"), let_out()]),
    ("self_approval", [*DUE, want_out(), let_out(by=f"treasurer:{TEAM_ID}")]),
    ("self_approval", [*OWED, do(c.WriteOffDebt, f"treasurer:{CREATOR_ID}", amount_minor=1)]),
    (
        "reserve_held",
        [*paid_by(1_000, first_time_creator=True), days(14), VERIFY, want_out(), let_out()],
    ),
    ("nothing_to_pay", [*DUE, want_out(except_nos=(1,)), let_out()]),
    ("milestone_order", [*paid_by(1_000, milestones=MILESTONES), days(14), VERIFY, want_out()]),
    (
        "milestone_order",
        [
            *(*paid_by(1_000, milestones=MILESTONES), days(14), VERIFY),
            *(want_out(milestone_id=FIRST_HALF), want_out(an_id(902), milestone_id=FIRST_HALF)),
        ],
    ),
    (
        "milestone_order",
        [
            *(*paid_by(1_000, milestones=MILESTONES), days(14), VERIFY),
            *(want_out(milestone_id=FIRST_HALF), let_out()),
            want_out(an_id(902), milestone_id=SECOND_HALF),
            do(c.RecordPayoutFailed, BANK, payout_id=PAYOUT, code="account_closed"),
            let_out(an_id(902)),
        ],
    ),
    ("milestone_order", [*DUE, want_out(milestone_id=FIRST_HALF)]),
    ("debt_too_small", [*OWED, do(c.WriteOffDebt, TREASURER, amount_minor=1_001)]),
    ("not_collected", [*WON, do(c.MarkDelivered, CREATOR, nos=(1,))]),
    ("not_collected", [*WON, want_back()]),
    ("need_unknown", [*live(), do(c.AcceptNeed, CREATOR, offer_id=an_id(70))]),
    (
        "need_unknown",
        [*live(), do(c.OfferNeed, f"backer:{ANNA}", offer_id=an_id(70), need_id=MUG, quantity=1)],
    ),
    ("offer_decided", [*DONE[c.AcceptNeed], do(c.DeclineNeed, CREATOR, offer_id=an_id(70))]),
    ("offer_decided", [*live(), OFFER, do(c.ReceiveNeed, CREATOR, offer_id=an_id(70))]),
    ("discrepancy_unknown", [*live(), do(c.ResolveDiscrepancy, STAFF, **RESOLVED)]),
    (
        "resolution_invalid",
        [*live(), STRAY, do(c.ResolveDiscrepancy, STAFF, **RESOLVED | {"resolution": "noted"})],
    ),
    ("id_reused", [*DONE[c.AddReward], DONE[c.AddReward][-1]]),
    (
        "id_reused",
        [
            *(*live(), HOLD),
            do(c.PlaceHold, f"backer:{BEN}", hold_id=an_id(80), backer=BEN, choices=some(MUG)),
        ],
    ),
    (
        "id_reused",
        [
            *(*live(), OFFER),
            do(c.OfferNeed, f"backer:{ANNA}", offer_id=an_id(70), need_id=VENUE, quantity=2),
        ],
    ),
    ("id_reused", [*live(), STRAY, charge(no=8, command_id=an_id(950))]),
]
"""Why commands are refused, each with the shortest story whose last step is."""


def _name(case: tuple[str, list[Given]]) -> str:
    last = case[1][-1]
    return f"{case[0]}-{last.command.__name__ if isinstance(last, Step) else ''}"


@pytest.mark.parametrize("case", REFUSED, ids=_name)
def test_every_reason_is_given(case: tuple[str, list[Given]]) -> None:
    """A command that breaks a rule is refused with the rule's own reason, and changes nothing."""
    reason, (*before, last) = case
    story = given(*before)
    was = msgspec.json.encode(story.state)
    outcome = story.when(last)
    outcome.rejected(reason)
    assert str(outcome.refusal)
    assert msgspec.json.encode(story.state) == was


def test_no_reason_is_left_out() -> None:
    """Every reason that the domain knows is given in some story above."""
    assert {reason for reason, _ in REFUSED} == set(errors.REJECTIONS)


def test_every_command_has_a_rule_and_every_fact_a_change() -> None:
    """`decide` answers every command, `evolve` knows every fact."""
    assert set(RULES) == set(c.COMMANDS) == set(DONE)
    assert set(e.Event.__subclasses__()) == set(e.EVENT_TYPES.values())
    assert set(CHANGES) == set(e.EVENT_TYPES.values()) - e.BESIDE_CAMPAIGNS


@pytest.mark.parametrize("command", DONE, ids=lambda each: each.__name__)
def test_deciding_changes_nothing(command: type[c.Command]) -> None:
    """`decide` is pure: the state is byte for byte what it was, and the answer is the same."""
    *before, last = DONE[command]
    assert isinstance(last, Step)
    story = given(*before)
    asked = story.command(last)
    was = msgspec.json.encode(story.state)
    first = decide(story.state, asked, story.at)
    assert msgspec.json.encode(story.state) == was
    assert decide(story.state, asked, story.at) == first


@pytest.mark.parametrize("command", DONE, ids=lambda each: each.__name__)
def test_replaying_gives_the_same_state(command: type[c.Command]) -> None:
    """The facts alone rebuild the state that the engine holds in memory."""
    story: Story = given(*DONE[command])
    replayed = new_campaign(CAMPAIGN)
    for each in story.events:
        evolve(replayed, each)
    assert replayed == story.state
    assert msgspec.json.encode(replayed) == msgspec.json.encode(story.state)
