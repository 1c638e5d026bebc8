"""One property, or more, for each of the thirteen rules by itself."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain import commands as c
from domain import errors
from domain import events as e
from domain.campaign import decide, handle
from domain.checks.fields import check_fields
from domain.codec import decode, encode, tag_of
from domain.invariants import Auditor
from domain.money import EXPONENTS, MAX_AMOUNT_MINOR
from domain.terms import Choice
from tests.domain import scenario as s
from tests.domain.scenario import Given, Step, Story, an_id, days, do
from tests.domain.test_every_command import DONE

AMOUNTS = st.integers(1, MAX_AMOUNT_MINOR)
SMALL = st.integers(1, 5_000)
RATES = st.one_of(st.sampled_from([500, 2_500]), st.integers(0, 2_500))
TERMS = st.fixed_dictionaries(
    {
        "platform_fee_bps": RATES,
        "processing_fee_bps": RATES,
        "platform_fee_on_refund": st.sampled_from(["platform", "creator"]),
        "processing_fee_on_refund": st.sampled_from(["platform", "creator"]),
    }
)
BACKERS = [an_id(200 + number) for number in range(6)]
STORIES = st.sampled_from(list(DONE.values()))


def won(amounts: list[int], terms: dict[str, Any] | None = None) -> list[Given]:
    """A campaign that succeeded with these amounts, all of them charged."""
    steps: list[Given] = [*s.live(goal_minor=1, terms=terms or {})]
    steps += [s.pledge(who, minor) for who, minor in zip(BACKERS, amounts, strict=False)]
    steps += [days(30), s.CLOSE]
    for no, minor in enumerate(amounts, 1):
        steps += [s.ask(no), s.charge(no, amount_minor=minor)]
    return steps


def remainders(story: Story) -> list[int]:
    """What is left of each pledge."""
    return [each.funds.remainder_minor if each.funds else 0 for each in story.state.pledges]


# --- 1: whole amounts, half-even fees ------------------------------------------------------------


@given(st.lists(st.one_of(AMOUNTS, st.integers(1, 90)), min_size=1, max_size=4), TERMS)
def test_rule_1_fees_are_the_sum_of_each_pledges_own(
    amounts: list[int], terms: dict[str, Any]
) -> None:
    """Rule 1: per pledge half to even of the exact product; the campaign's fee is their sum."""
    story = s.given(*won(amounts, terms=terms))
    rates = (terms["platform_fee_bps"], terms["processing_fee_bps"])
    fees = [round(Fraction(minor * rate, 10_000)) for minor in amounts for rate in rates]
    assert story.state.figures.fees_minor == sum(fees)
    assert min(remainders(story)) >= 0


@given(STORIES, st.data())
def test_rule_1_no_number_in_a_command_breaks_a_fact(
    story: list[Given], data: st.DataObject
) -> None:
    """Rule 1: whatever number stands in a command, each fact has whole amounts in range, and can
    be stored and read back.
    """
    *before, last = story
    assert isinstance(last, Step)
    begun = s.given(*before)
    command = replace(begun.command(last), **_spoiled(last, int, _NUMBERS, data))
    for fact in _facts(begun, command):
        assert check_fields(fact) == []
        assert decode(tag_of(fact), encode(fact)) == fact


_NUMBERS = st.one_of(
    st.integers(-2, 12),
    st.sampled_from(
        [MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR + 1, 2**31, 2**63, -(2**63), 2**64, 10**30]
    ),
)


def _spoiled(
    last: Step, kind: type, values: st.SearchStrategy[Any], data: st.DataObject
) -> dict[str, Any]:
    """One field of this kind of the command, with another value for it."""
    many = tuple[kind, ...]  # type: ignore[valid-type] # made as the annotation is
    fields = {each.name: each.type for each in msgspec.structs.fields(last.command)}
    fields = {name: told for name, told in fields.items() if told in (kind, kind | None, many)}
    fields.pop("expires_at", None)
    assume(fields)
    field = data.draw(st.sampled_from(list(fields)), label="field")
    value = data.draw(values, label="value")
    return {field: (value,) if fields[field] == many else value}


def _facts(story: Story, command: c.Command) -> list[e.Event]:
    """What comes of a command; nothing where it is refused or was done before."""
    try:
        return handle(story.state, command, story.at)
    except (errors.Rejection, errors.Repeated):
        return []


# --- 2: one currency -----------------------------------------------------------------------------


@given(st.sampled_from(sorted(EXPONENTS)), st.sampled_from(sorted(EXPONENTS)), SMALL)
def test_rule_2_a_campaign_has_one_currency(own: str, other: str, minor: int) -> None:
    """Rule 2: every fact that names a currency names the campaign's; others are refused."""
    steps: list[Given] = [s.pledge(s.ANNA, minor, currency=own), days(30), s.CLOSE]
    steps += [s.ask(), s.charge(amount_minor=minor), s.want_back(), s.refunded(amount_minor=minor)]
    story = s.given(*s.live(currency=own, goal_minor=1), *steps[:1])
    outcome = story.when(s.pledge(s.BEN, minor, currency=other))
    if own == other:
        outcome.then(s.fact(e.PledgeMade, currency=own))
    else:
        outcome.rejected("currency_mismatch")
    story.when(*steps[1:])
    named = {getattr(each, "currency", own) for each in story.events}
    assert named == {own}


# --- 3: stock ------------------------------------------------------------------------------------

SHOPPING = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 3), st.sampled_from(["hold", "pledge", "leave"])),
    max_size=14,
)


@given(st.integers(1, 5), SHOPPING, st.sampled_from([0, 1, 16 * 60_000]))
def test_rule_3_the_last_item_is_sold_once(
    limit: int, shopping: list[tuple[int, int, str]], pause: int
) -> None:
    """Rule 3: whoever comes in whatever order, a pledge is made just when its pieces are left."""
    mug = replace(s.THE_MUG, limit=limit)
    story = s.given(*s.live(rewards=(mug,)))
    sold: dict[int, int] = {}
    held: dict[int, tuple[int, int]] = {}
    for who, pieces, what in shopping:
        story.go(pause)
        backer = BACKERS[who]
        running = {each: got for each, got in held.items() if got[1] > story.at}
        others = sum(got[0] for each, got in running.items() if each != who)
        left = limit - sum(sold.values()) - others
        facts = {"choices": s.some(s.MUG, pieces)}
        if what == "leave":
            if who in sold:
                story.go(do(c.WithdrawPledge, f"backer:{backer}", pledge_id=s.pledge_of(backer)))
                del sold[who]
            continue
        if what == "hold":
            ids = {"hold_id": an_id(600 + len(story.events)), "backer": backer}
            outcome = story.when(do(c.PlaceHold, f"backer:{backer}", **ids, **facts))
        else:
            pledge_id = an_id(700 + len(story.events))
            outcome = story.when(s.pledge(backer, 500 * pieces, pledge_id, **facts))
        assert (outcome.refusal is None) == (pieces <= left), (what, pieces, left)
        if outcome.refusal is None and what == "hold":
            held[who] = (pieces, story.at + 15 * 60_000)
        elif outcome.refusal is None:
            held.pop(who, None)
            sold[len(story.events) + 1_000] = pieces
    assert sum(sold.values()) <= limit


# --- 4: one pledge per id ------------------------------------------------------------------------


@given(
    SMALL,
    st.sampled_from([(), s.some(s.BOOK), s.some(s.MUG, 2)]),
    st.sampled_from(["BR", "US"]),
    st.sampled_from(["amount_minor", "choices", "destination", "backer", "currency", "nothing"]),
    st.integers(0, days(40)),
)
def test_rule_4_a_pledge_exists_once_per_id(
    minor: int, choices: tuple[Choice, ...], destination: str, differs: str, later: int
) -> None:
    """Rule 4: the same again is told where it stands, at any later time; other content never is."""
    first = s.pledge(s.ANNA, minor + 3_000, choices=choices, destination=destination)
    changes: dict[str, Any] = {
        "amount_minor": minor + 3_001,
        "choices": s.some(s.MUG),
        "destination": "" if choices != s.some(s.BOOK) else "US-AK",
        "backer": s.BEN,
        "currency": "USD",
    }
    change = {differs: changes[differs]} if differs != "nothing" else {}
    by = f"backer:{s.BEN}" if differs == "backer" else first.by
    again = first._replace(by=by, facts=first.facts | change | {"payment_method": an_id(95)})
    story = s.given(*s.live(), first, later)
    outcome = story.when(again)
    if differs == "nothing":
        outcome.repeated(version=4, no=1)
    else:
        outcome.rejected("pledge_id_reused")
    assert len(story.state.pledges) == 1


# --- 5: no more than was pledged, no more back than was collected --------------------------------


@given(SMALL, st.lists(st.integers(1, 3_000), max_size=6), TERMS)
def test_rule_5_refunds_never_pass_what_was_collected(
    minor: int, parts: list[int], terms: dict[str, Any]
) -> None:
    """Rule 5: each refund is granted just when it fits into what is left."""
    story, left = s.given(*won([minor], terms=terms)), minor
    for number, part in enumerate(parts):
        refund_id = an_id(810 + number)
        outcome = story.when(s.want_back(1, part, refund_id))
        assert (outcome.refusal is None) == (part <= left)
        if outcome.refusal is None:
            left -= part
            story.go(s.refunded(1, part, refund_id, reference=f"refund/{number}"))
    assert story.state.figures.returned_minor == minor - left


@given(SMALL, st.integers(1, 6_000))
def test_rule_5_another_sum_is_never_collected(minor: int, charged: int) -> None:
    """Rule 5: what the provider charged otherwise is nobody's pledge."""
    steps = [*s.live(goal_minor=1), s.pledge(s.ANNA, minor), days(30), s.CLOSE, s.ask()]
    story = s.given(*steps, s.charge(amount_minor=charged, provider_fee_minor=0))
    assert story.state.figures.charged_minor == (minor if charged == minor else 0)
    assert story.state.figures.suspense_minor == (0 if charged == minor else charged)


# --- 6: no Ponzi, per pledge ---------------------------------------------------------------------


@given(
    st.lists(SMALL, min_size=1, max_size=6),
    st.tuples(st.integers(1, 7), st.integers(1, 7)).filter(lambda part: part[0] <= part[1]),
    st.data(),
)
def test_rule_6_a_payout_takes_one_fraction_of_each(
    amounts: list[int], part: tuple[int, int], data: st.DataObject
) -> None:
    """Rule 6: the written function, pledge by pledge; who is outside the range gives nothing."""
    numbers = st.integers(1, len(amounts))
    first, last = sorted((data.draw(numbers), data.draw(numbers)))
    excepted = data.draw(st.sets(st.integers(first, last), max_size=2).map(sorted).map(tuple))
    story = s.given(*won(amounts), days(14), s.VERIFY)
    before = remainders(story)
    facts = {"numerator": part[0], "denominator": part[1], "except_nos": excepted}
    story.go(do(c.RequestPayout, s.CREATOR, payout_id=s.PAYOUT, from_no=first, to_no=last, **facts))
    due = [
        minor * part[0] // part[1] if first <= no <= last and no not in excepted else 0
        for no, minor in enumerate(before, 1)
    ]
    outcome = story.when(s.let_out())
    if not sum(due):
        outcome.rejected("nothing_to_pay")
    else:
        outcome.then(s.fact(e.PayoutApproved, amount_minor=sum(due)))
        taken = [was - now for was, now in zip(before, remainders(story), strict=True)]
        assert taken == due


@given(st.lists(SMALL, min_size=2, max_size=5), st.integers(0, 4), st.integers(0, 4), TERMS)
def test_rule_6_a_refund_never_touches_another_pledge(
    amounts: list[int], paid_quarters: int, which: int, terms: dict[str, Any]
) -> None:
    """Rule 6: own remainder, own reversed fees, debt of the creator; the others stay."""
    no = which % len(amounts) + 1
    story = s.given(*won(amounts, terms=terms), days(14), s.VERIFY)
    if paid_quarters:
        outcome = story.when(s.want_out(numerator=paid_quarters, denominator=4), s.let_out())
        if outcome.refusal is None:
            story.go(s.sent_out(story.state.figures.on_the_way_minor))
    before, minor = remainders(story), amounts[no - 1]
    story.when(s.want_back(no), s.refunded(no, minor))
    after = remainders(story)
    assert [was for n, was in enumerate(before, 1) if n != no] == [
        now for n, now in enumerate(after, 1) if n != no
    ]
    assert after[no - 1] >= 0
    assert story.state.figures.owed_minor <= minor
    assert story.state.figures.reconcile()


# --- 7: the books --------------------------------------------------------------------------------


@given(st.lists(SMALL, min_size=1, max_size=4), st.integers(0, 5_000), st.booleans(), TERMS)
def test_rule_7_what_is_set_aside_cannot_be_paid_out(
    amounts: list[int], wanted: int, dispute: bool, terms: dict[str, Any]
) -> None:
    """Rule 7: a full payout leaves just what a refund or dispute has a claim on."""
    story = s.given(*won(amounts, terms=terms), days(14), s.VERIFY)
    minor = min(wanted, amounts[0])
    if minor:
        ask = s.disputed(amount_minor=minor) if dispute else s.want_back(amount_minor=minor)
        story.go(ask)
    outcome = story.when(s.want_out(), s.let_out())
    funds = story.state.pledges[0].funds
    assert funds is not None
    if outcome.refusal is None:
        assert sum(remainders(story)) == funds.remainder_minor == funds.set_aside_minor
        assert story.state.figures.held_minor == (
            funds.set_aside_minor + story.state.figures.on_the_way_minor
        )


# --- 8: two pairs of eyes ------------------------------------------------------------------------

PARTIES = {"creator": s.CREATOR_ID, "team": s.TEAM_ID, "one": an_id(31), "two": an_id(32)}
ROLES = ("creator", "staff", "treasurer", "auditor", "backer")
ANYBODY = list(itertools.product(ROLES, PARTIES))


@pytest.mark.parametrize(("asker_role", "asker"), ANYBODY)
def test_rule_8_a_treasurer_who_did_not_ask_approves(asker_role: str, asker: str) -> None:
    """Rule 8: over every pair of who asks and who approves."""
    story = s.given(*won([1_000]), days(14), s.VERIFY)
    asked = story.when(s.want_out(by=f"{asker_role}:{PARTIES[asker]}"))
    may_ask = asker_role == "staff" or asker in ("creator", "team")
    assert (asked.refusal is None) == may_ask
    for role, party in ANYBODY:
        command = story.command(s.let_out(by=f"{role}:{PARTIES[party]}"))
        outsider = party not in ("creator", "team") and party != asker
        if may_ask and outsider and role == "treasurer":
            (approved,) = decide(story.state, command, story.at)
            assert isinstance(approved, e.PayoutApproved)
        else:
            with pytest.raises(errors.Rejection):
                decide(story.state, command, story.at)


# --- 9: not before its time ----------------------------------------------------------------------


@given(
    st.integers(0, 20),
    st.one_of(st.sampled_from([-1, 0, 1]), st.integers(-days(5), days(5))),
    st.sampled_from([False, False, True]),
)
def test_rule_9_nothing_is_paid_before_its_time(
    delay_days: int, offset: int, stopped: bool
) -> None:
    """Rule 9: a payout is possible just from success plus the terms' delay, and not suspended."""
    waited = max(0, days(delay_days) + offset)
    story = s.given(*won([1_000], terms={"payout_delay_days": delay_days}), s.VERIFY, waited)
    if stopped:
        story.go(do(c.SuspendCampaign, s.STAFF, cause="under_review"))
    outcome = story.when(s.want_out())
    assert (outcome.refusal is None) == (waited >= days(delay_days) and not stopped)


@given(
    st.sampled_from(["success", "pledge"]), st.sampled_from(["live", "won", "lost"]), st.booleans()
)
def test_rule_9_nothing_is_collected_before_its_time(when: str, phase: str, stopped: bool) -> None:
    """Rule 9: at the pledge where the terms say so, else after success; never while suspended."""
    goal = 1_001 if phase == "lost" else 1_000
    story = s.given(*s.live(terms={"collect_at": when}, goal_minor=goal), s.pledge(s.ANNA, 1_000))
    if phase != "live":
        story.when(days(30), s.CLOSE)
    if stopped and phase != "lost":
        story.go(do(c.SuspendCampaign, s.STAFF, cause="under_review"))
    due = phase == "won" or (phase == "live" and when == "pledge")
    may = due and not (stopped and phase != "lost")
    assert (story.when(s.ask()).refusal is None) == may


# --- 10: time ------------------------------------------------------------------------------------


@given(STORIES, st.integers(0, days(60)))
def test_rule_10_facts_bear_the_time_they_are_given(story: list[Given], later: int) -> None:
    """Rule 10: `decide` reads no clock; its facts bear `at`, and are the same for the same `at`."""
    *before, last = story
    assert isinstance(last, Step)
    begun = s.given(*before, later)
    command = begun.command(last)
    try:
        first = decide(begun.state, command, begun.at)
    except (errors.Rejection, errors.Repeated):
        return
    assert {each.at for each in first} <= {begun.at}
    assert decide(begun.state, command, begun.at) == first


@given(STORIES, st.data())
def test_rule_10_a_fact_from_the_past_is_found_out(story: list[Given], data: st.DataObject) -> None:
    """Rule 10: wherever in a stream time runs back, the auditor says so."""
    stream = s.given(*story).events
    index = data.draw(st.integers(1, len(stream)), label="index") - 1
    assume(index)
    forged = [*stream]
    forged[index] = replace(stream[index], at=stream[index - 1].at - 1)
    assert 10 in _rules_broken(forged)


def _rules_broken(stream: list[e.Event]) -> set[int]:
    auditor = Auditor(s.CAMPAIGN)
    return {fault.rule for each in stream for fault in auditor.feed(each)}


# --- 11: nothing is edited -----------------------------------------------------------------------


@given(STORIES, st.data())
def test_rule_11_a_fact_that_is_gone_or_moved_is_found_out(
    story: list[Given], data: st.DataObject
) -> None:
    """Rule 11: take any fact out of a stream, or let two change places, and the auditor says so."""
    stream = s.given(*story).events
    assume(len(stream) > 1)
    index = data.draw(st.integers(0, len(stream) - 2), label="index")
    swapped = [*stream[:index], stream[index + 1], stream[index], *stream[index + 2 :]]
    assert 11 in _rules_broken(stream[:index] + stream[index + 1 :])
    assert 11 in _rules_broken(swapped)


# --- 12: no personal data ------------------------------------------------------------------------

_TEXTS = st.one_of(
    st.text(max_size=50),
    st.sampled_from(["Anna Almeida", "anna@example.org", "10.0.0.7", "Rua das Flores 7", "\n"]),
    st.sampled_from([an_id(8).upper(), s.HASH.upper(), "a" * 200, "über", "card declined"]),
)


@given(STORIES, st.data())
def test_rule_12_no_free_text_enters_a_fact(story: list[Given], data: st.DataObject) -> None:
    """Rule 12: whatever text stands in any field of a command, no fact carries it on."""
    *before, last = story
    assert isinstance(last, Step)
    begun = s.given(*before)
    command = replace(begun.command(last), **_spoiled(last, str, _TEXTS, data))
    for fact in _facts(begun, command):
        assert check_fields(fact) == []


# --- 13: facts from outside ----------------------------------------------------------------------

REFERENCES = st.sampled_from(["charge/1/1", "charge/1/2", "refund/1", "x"])
WORDS = {
    "provider": st.just("test_bank"),
    "code": st.sampled_from(["insufficient_funds", "expired"]),
    "reference": REFERENCES,
    "dispute_id": st.sampled_from(["dispute/1", "dispute/2"]),
    "refund_id": st.sampled_from([an_id(801), an_id(9)]),
    "payout_id": st.sampled_from([s.PAYOUT, an_id(9)]),
    "no": st.integers(-1, 3),
    "attempt": st.integers(-1, 3),
    "amount_minor": st.sampled_from([0, 1, 930, 980, 1_000, MAX_AMOUNT_MINOR]),
    "provider_fee_minor": st.integers(0, 40),
    "fee_minor": st.integers(0, 40),
    "retryable": st.booleans(),
}
REPORTS = [each for each in c.COMMANDS if "provider" in each.__struct_fields__]
REPORTS += [c.RecordActionRequired, c.RecordCollectionUnknown]
REPORTS += [c.RecordRefundFailed, c.RecordPayoutFailed]
REPORTS.remove(c.RecordRepayment)


@given(STORIES, st.lists(st.sampled_from(REPORTS), min_size=1, max_size=3), st.data())
def test_rule_13_a_report_is_never_refused(
    story: list[Given], reports: list[type[c.Command]], data: st.DataObject
) -> None:
    """Rule 13: any report at any time is a fact, a discrepancy, or old news; never an error."""
    begun = s.given(*story)
    for report in reports:
        names = [each for each in report.__struct_fields__ if each in WORDS]
        facts = {name: data.draw(WORDS[name], label=name) for name in names}
        outcome = begun.when(do(report, s.BANK, **facts))
        assert outcome.refusal is None, outcome.refusal
        if any(isinstance(each, e.DiscrepancyRecorded) for each in outcome.facts):
            assert begun.state.frozen


@pytest.mark.parametrize("report", [s.charge(no=9), s.refunded(no=9), s.disputed(no=9)])
def test_rule_13_a_discrepancy_freezes_payouts(report: Step) -> None:
    """Rule 13: neither asked for nor approved until staff resolve it."""
    steps = [*won([1_000]), days(14), s.VERIFY, s.want_out(), report]
    s.given(*steps).when(s.let_out()).rejected("payouts_frozen")
    s.given(*steps).when(s.want_out(an_id(902))).rejected("payouts_frozen")
