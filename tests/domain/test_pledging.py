"""A backer's side: hold, pledge, revise, leave; and the last piece of a reward."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from domain import commands as c
from domain import events as e
from domain.terms import HOLD_MS, Choice, Line
from tests.domain.scenario import (
    ANNA,
    BEN,
    BOOK,
    CLEO,
    CLOSE,
    CREATOR,
    MUG,
    STAFF,
    START,
    STICKER,
    SYSTEM,
    THE_MUG,
    Step,
    an_id,
    ask,
    charged_early,
    days,
    decline,
    do,
    fact,
    given,
    live,
    pledge,
    pledge_of,
    some,
)


def hold(backer: str, hold_id: int, quantity: int = 1) -> Step:
    """A checkout keeps some mugs."""
    ids = {"hold_id": an_id(hold_id), "backer": backer}
    return do(c.PlaceHold, f"backer:{backer}", choices=some(MUG, quantity), **ids)


def revise(backer: str, amount_minor: int, **facts: object) -> Step:
    """A backer's pledge gets other terms."""
    ids = {"pledge_id": pledge_of(backer), "amount_minor": amount_minor}
    return do(c.RevisePledge, f"backer:{backer}", **ids, **facts)


def leave(backer: str, by: str = "") -> Step:
    """A backer leaves."""
    return do(c.WithdrawPledge, by or f"backer:{backer}", pledge_id=pledge_of(backer))


def test_a_pledge_is_a_promise_at_todays_prices() -> None:
    """Its lines keep price and shipping, its number is the next of the campaign."""
    chosen = some(BOOK, 2) + some(STICKER)
    given(*live()).when(pledge(ANNA, 3_000, choices=chosen, destination="BR-SP")).then(
        fact(
            e.PledgeMade,
            no=1,
            backer=ANNA,
            amount_minor=3_000,
            currency="BRL",
            lines=(Line(BOOK, 2, 1_000, 200), Line(STICKER, 1, 50, 0)),
            destination="BR-SP",
            hold_id="",
            late=False,
        )
    )


def test_more_than_the_price_may_be_pledged() -> None:
    """Support on top is welcome, and so is a pledge without a reward."""
    given(*live()).when(pledge(ANNA, 9_999, choices=some(MUG))).then(fact(e.PledgeMade))
    given(*live()).when(pledge(ANNA, 1)).then(fact(e.PledgeMade, lines=()))


def test_the_same_pledge_again_is_told_where_the_first_one_stands() -> None:
    """The payment token and the time do not make it another pledge (rule 4)."""
    story = given(*live(), pledge(ANNA, 700, choices=some(MUG)), days(1))
    again = pledge(ANNA, 700, choices=some(MUG), payment_method=an_id(95), visibility="name")
    story.when(again).repeated(version=4, no=1)
    assert len(story.state.pledges) == 1


@pytest.mark.parametrize(
    "other",
    [
        pledge(ANNA, 701, choices=some(MUG)),
        pledge(ANNA, 700),
        pledge(ANNA, 700, choices=some(MUG), destination="BR"),
        pledge(ANNA, 700, choices=some(MUG), currency="USD"),
        pledge(BEN, 700, pledge_of(ANNA), choices=some(MUG)),
    ],
    ids=["amount", "lines", "destination", "currency", "backer"],
)
def test_the_same_id_with_other_content_is_refused(other: Step) -> None:
    """Amount, lines, destination, currency and backer are its content (rule 4)."""
    given(*live(), pledge(ANNA, 700, choices=some(MUG))).when(other).rejected("pledge_id_reused")


def test_a_repeated_pledge_is_recognised_after_a_revision() -> None:
    """The first content is what a repeat is compared with, whatever became of the pledge."""
    story = given(*live(), pledge(ANNA, 700), revise(ANNA, 900))
    story.when(pledge(ANNA, 700)).repeated(version=4, no=1)
    story.when(pledge(ANNA, 900)).rejected("pledge_id_reused")
    story.when(leave(ANNA), pledge(ANNA, 700)).repeated(version=4, no=1)


def test_a_repeated_pledge_is_recognised_after_the_close() -> None:
    """A client that asks again late learns the truth, not that the campaign is closed."""
    given(*live(), pledge(ANNA, 1_000), days(30), CLOSE).when(pledge(ANNA, 1_000)).repeated(4, 1)


def test_without_a_currency_the_campaigns_own_is_meant() -> None:
    """A pledge that names no currency is in the campaign's (rule 2)."""
    given(*live()).when(pledge(ANNA, 100, currency="")).then(fact(e.PledgeMade, currency="BRL"))


def test_an_expired_command_is_refused_even_as_a_repeat() -> None:
    """After `expires_at` a client may be sure that nothing comes of it (rule 4)."""
    story = given(*live(), pledge(ANNA, 100, expires_at=START))
    story.when(1, pledge(ANNA, 100, expires_at=START)).rejected("command_expired")


def test_the_last_piece_is_sold_once() -> None:
    """Three mugs: the fourth backer is too late (rule 3)."""
    story = given(*live(), pledge(ANNA, 1_000, choices=some(MUG, 2)))
    story.when(pledge(BEN, 500, choices=some(MUG))).then(fact(e.PledgeMade))
    story.when(pledge(CLEO, 500, choices=some(MUG))).rejected("sold_out")


def test_a_piece_that_is_given_back_can_be_sold_again() -> None:
    """A withdrawal frees its stock."""
    story = given(*live(), pledge(ANNA, 1_500, choices=some(MUG, 3)), leave(ANNA))
    story.when(pledge(BEN, 1_500, choices=some(MUG, 3))).then(fact(e.PledgeMade, no=2))


def test_a_hold_keeps_its_pieces_for_fifteen_minutes() -> None:
    """To the millisecond; then the next backer's pledge ends it."""
    story = given(*live(), hold(ANNA, 80, 3), HOLD_MS - 1)
    story.when(pledge(BEN, 500, choices=some(MUG))).rejected("sold_out")
    story.when(1, pledge(BEN, 500, choices=some(MUG))).then(
        fact(e.HoldLapsed, hold_id=an_id(80)), fact(e.PledgeMade, no=1)
    )


def test_a_pledge_uses_its_backers_own_hold() -> None:
    """What is held for Anna is Anna's to take, also after its time if nobody came."""
    story = given(*live(), hold(ANNA, 80, 3), HOLD_MS * 2)
    story.when(pledge(ANNA, 1_500, choices=some(MUG, 3))).then(
        fact(e.PledgeMade, hold_id=an_id(80))
    )
    assert story.state.holds == {}


def test_a_backer_has_one_hold() -> None:
    """A second checkout replaces the first, whose pieces count as free."""
    story = given(*live(), hold(ANNA, 80, 3))
    story.when(hold(ANNA, 81, 2)).then(
        fact(e.HoldLapsed, hold_id=an_id(80)), fact(e.HoldPlaced, hold_id=an_id(81))
    )
    story.when(hold(BEN, 82, 1)).then(fact(e.HoldPlaced, until_at=START + HOLD_MS))
    story.when(hold(CLEO, 83, 1)).rejected("sold_out")


def test_a_hold_is_placed_once() -> None:
    """Its id is its idempotency key."""
    given(*live(), hold(ANNA, 80)).when(hold(ANNA, 80)).repeated(4)


def test_all_holds_that_are_over_end_together() -> None:
    """The pledge that finds them ends them, oldest first, and leaves those that run."""
    story = given(*live(), hold(ANNA, 80), 1, hold(BEN, 81), 1_000, hold(CLEO, 82), HOLD_MS - 1_000)
    story.when(pledge(an_id(14), 500, choices=some(MUG))).then(
        fact(e.HoldLapsed, hold_id=an_id(80)),
        fact(e.HoldLapsed, hold_id=an_id(81)),
        fact(e.PledgeMade, no=1),
    )
    assert list(story.state.holds) == [an_id(82)]


def test_a_hold_ends_when_its_time_is_over_or_its_backer_says_so() -> None:
    """The system may end it at its time, not a millisecond before; ending twice changes nothing."""
    lapse = do(c.LapseHold, SYSTEM, hold_id=an_id(80))
    story = given(*live(), hold(ANNA, 80), HOLD_MS - 1)
    story.when(lapse).rejected("not_your_pledge")
    story.when(1, lapse).then(fact(e.HoldLapsed))
    story.when(lapse).then()


def test_a_pledge_without_a_hold_leaves_a_hold_alone() -> None:
    """Money without a reward does not end a checkout."""
    story = given(*live(), hold(ANNA, 80), pledge(ANNA, 100))
    assert list(story.state.holds) == [an_id(80)]


def test_a_revision_replaces_all_terms() -> None:
    """Its own stock counts as free; what it gave up is free for others."""
    story = given(*live(), pledge(ANNA, 1_500, choices=some(MUG, 3)))
    story.when(revise(ANNA, 1_400, choices=some(BOOK), destination="BR")).then(
        fact(
            e.PledgeRevised, was_minor=1_500, amount_minor=1_400, lines=(Line(BOOK, 1, 1_000, 200),)
        )
    )
    story.when(pledge(BEN, 1_500, choices=some(MUG, 3))).then(fact(e.PledgeMade))
    story.when(revise(ANNA, 500, choices=some(MUG))).rejected("sold_out")
    assert story.state.figures.pledged_minor == 2_900


def test_a_revision_within_its_own_stock() -> None:
    """Three of three mugs may become two, though none is left."""
    given(*live(), pledge(ANNA, 1_500, choices=some(MUG, 3))).when(
        revise(ANNA, 1_000, choices=some(MUG, 2))
    ).then(fact(e.PledgeRevised, amount_minor=1_000))


def test_what_was_promised_stands_after_the_close() -> None:
    """A goal that was reached cannot be revised away, not even while late pledges are open."""
    story = given(*live(), pledge(ANNA, 1_000), days(30), CLOSE, do(c.OpenLatePledges, CREATOR))
    story.when(revise(ANNA, 1)).rejected("pledge_not_revisable")


def test_in_the_last_day_no_decrease_undoes_a_reached_goal() -> None:
    """Above the goal and staying there is fine; so is leaving a goal that was not reached."""
    story = given(*live(), pledge(ANNA, 1_000), pledge(BEN, 300), days(29))
    story.when(revise(ANNA, 700)).then(fact(e.PledgeRevised))
    story.when(revise(ANNA, 699)).rejected("goal_protected")
    story.when(leave(BEN)).rejected("goal_protected")
    story.when(leave(BEN, by=STAFF)).then(fact(e.PledgeWithdrawn))
    story.when(leave(ANNA)).then(fact(e.PledgeWithdrawn))


def test_before_the_last_day_everybody_may_leave() -> None:
    """The goal is protected from 24 hours before the deadline."""
    given(*live(), pledge(ANNA, 1_000), days(29) - 1).when(leave(ANNA)).then(
        fact(e.PledgeWithdrawn, amount_minor=1_000)
    )


def test_nobody_is_locked_in_by_a_failed_payment() -> None:
    """After a decline the backer may leave, also after the close."""
    story = given(*live(), pledge(ANNA, 1_000), days(30), CLOSE, ask(), decline())
    story.when(leave(ANNA)).then(
        fact(e.PledgeWithdrawn), fact(e.CampaignSettled), fact(e.CampaignCompleted)
    )


def test_what_was_charged_at_the_pledge_can_be_withdrawn_for_fourteen_days() -> None:
    """The withdrawal asks for the refund in the same breath."""
    story = given(*charged_early(1_000), days(14) - 1)
    story.when(leave(ANNA)).then(
        fact(e.PledgeWithdrawn, no=1, amount_minor=1_000),
        fact(e.RefundRequested, cause="withdrawn", amount_minor=1_000, from_held_minor=1_000),
    )
    assert story.state.figures.pledged_minor == 0
    assert story.state.figures.charged_minor == 1_000


def test_a_withdrawal_cannot_take_the_id_of_another_refund() -> None:
    """Its command id names the refund; one that is used already is refused."""
    story = given(*charged_early(1_000, 310))
    first, second = (pledge.pledge_id for pledge in story.state.pledges)
    leave = {"command_id": an_id(801)}
    story.when(
        do(c.WithdrawPledge, STAFF, pledge_id=first, **leave),
        do(c.WithdrawPledge, STAFF, pledge_id=second, **leave),
    ).rejected("id_reused")


def test_another_payment_method_makes_a_final_decline_worth_another_try() -> None:
    """The new method is asked even where the old one was declined for good."""
    other = {"pledge_id": pledge_of(ANNA), "payment_method": an_id(95)}
    story = given(*live(), pledge(ANNA, 1_000), days(30), CLOSE, ask(), decline(retryable=False))
    story.when(do(c.ReplacePaymentMethod, f"backer:{ANNA}", **other)).then(
        fact(e.PaymentMethodReplaced, payment_method=an_id(95))
    )
    assert story.state.pledges[0].retryable
    story.when(ask(attempt=2)).then(fact(e.CollectionRequested, attempt=2))


def test_a_reward_may_grow_while_it_is_claimed() -> None:
    """Stock rises at will and falls to what is claimed and held."""

    def limit(pieces: int | None) -> Step:
        return do(c.ChangeRewardStock, CREATOR, reward_id=MUG, limit=pieces)

    story = given(*live(), pledge(ANNA, 500, choices=some(MUG)), hold(BEN, 80))
    story.when(limit(1)).rejected("stock_below_claimed")
    story.when(limit(2)).then(fact(e.RewardStockChanged, limit=2))
    story.when(pledge(CLEO, 500, choices=some(MUG))).rejected("sold_out")
    story.when(limit(None), pledge(CLEO, 5_000, choices=some(MUG, 10))).then(fact(e.PledgeMade))


def test_a_promise_changes_only_while_nobody_relies_on_it() -> None:
    """Neither a backer nor a checkout; once they have left it may change again."""
    dearer = do(c.ChangeReward, CREATOR, reward=replace(THE_MUG, price_minor=600))
    story = given(*live(), hold(BEN, 80))
    story.when(dearer).rejected("reward_promised")
    story.when(do(c.LapseHold, f"backer:{BEN}", hold_id=an_id(80)), pledge(ANNA, 500))
    story.when(revise(ANNA, 500, choices=some(MUG)), dearer).rejected("reward_promised")
    story.when(leave(ANNA), dearer).then(fact(e.RewardChanged))
    story.when(pledge(CLEO, 599, choices=some(MUG))).rejected("amount_too_small")


def test_each_reward_is_chosen_once() -> None:
    """Two lines of one reward would be counted apart."""
    twice = (Choice(MUG, 1), Choice(BOOK, 1), Choice(MUG, 1))
    given(*live()).when(pledge(ANNA, 9_000, choices=twice, destination="BR")).rejected(
        "reward_choice_invalid"
    )
