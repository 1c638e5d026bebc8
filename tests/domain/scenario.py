"""`given(...).when(...).then(...)`: campaigns as the tests of the rules tell them.

What is given is a list of steps (a command and who asks) and of times that pass. Every fact on the
way is followed by an auditor, so that no test can leave the thirteen rules unnoticed.
"""
# ruff: noqa: ANN401 - a step holds the facts of any command

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from domain import commands as c
from domain import errors
from domain import events as e
from domain.campaign import Campaign, handle, new_campaign
from domain.invariants import Auditor, check_whole
from domain.money import MAX_AMOUNT_MINOR
from domain.terms import DAY_MS, Choice, Milestone, Need, Reward, ShippingFee, Submission, Terms

START = 1_700_000_000_000
DEADLINE = START + 30 * DAY_MS


def an_id(number: int) -> str:
    """An id that is as good as random, the same in every run."""
    return f"{number:08x}-5a1d-4c0f-8e2b-{number * 7_919 % 16**12:012x}"


CAMPAIGN, CHANNEL = an_id(1), an_id(2)
ANNA, BEN, CLEO = an_id(11), an_id(12), an_id(13)
CREATOR_ID, TEAM_ID = an_id(21), an_id(22)
CREATOR, TEAM = f"creator:{CREATOR_ID}", f"creator:{TEAM_ID}"
STAFF, TREASURER = f"staff:{an_id(31)}", f"treasurer:{an_id(32)}"
SYSTEM, BANK = "system:deadlines", "provider:test_bank"
MUG, BOOK, STICKER, POSTER = an_id(41), an_id(42), an_id(43), an_id(44)
VENUE, HOURS = an_id(51), an_id(52)
FIRST_HALF, SECOND_HALF = an_id(61), an_id(62)
ACCOUNT, OTHER_ACCOUNT = an_id(71), an_id(72)
HASH = "0123456789abcdef" * 4

THE_MUG = Reward(reward_id=MUG, price_minor=500, limit=3, text=HASH)
THE_BOOK = Reward(
    reward_id=BOOK,
    price_minor=1_000,
    shipping=(ShippingFee("BR", 200), ShippingFee("US", 900), ShippingFee("US-AK", 1_500)),
    delivery_at=DEADLINE + 90 * DAY_MS,
)
THE_STICKER = Reward(reward_id=STICKER, price_minor=50, add_on=True)
THE_POSTER = Reward(reward_id=POSTER, price_minor=300, limit=1)


def a_submission(**changes: Any) -> Submission:
    """What the creator of these tests hands in, with changes; terms by `terms=dict(...)`."""
    terms = Terms(**changes.pop("terms", {}))
    plain = Submission(
        creator=CREATOR_ID,
        team=(TEAM_ID,),
        model="all_or_nothing",
        currency="BRL",
        goal_minor=1_000,
        deadline_at=DEADLINE,
        terms=terms,
        text=HASH,
        rewards=(THE_MUG, THE_BOOK, THE_STICKER),
        needs=(Need(need_id=VENUE, quantity=1), Need(need_id=HOURS, quantity=40)),
    )
    return replace(plain, **changes)


MILESTONES = (
    Milestone(milestone_id=FIRST_HALF, share_bps=3_000),
    Milestone(milestone_id=SECOND_HALF, share_bps=7_000),
)


class Step(NamedTuple):
    """A command yet to be given, and who gives it."""

    command: type[c.Command]
    by: str
    facts: dict[str, Any]


class Fact(NamedTuple):
    """An expected fact: its type, and those of its fields that matter to the test."""

    kind: type[e.Event]
    fields: dict[str, Any]


Given = Step | int
"""A step, or a stretch of time in milliseconds."""


def do(command: type[c.Command], by: str, /, **facts: Any) -> Step:
    """Any command by anybody."""
    return Step(command, by, facts)


def fact(kind: type[e.Event], /, **fields: Any) -> Fact:
    """A fact of this type with these fields among its own."""
    return Fact(kind, fields)


def days(number: float) -> int:
    """A stretch of days."""
    return int(number * DAY_MS)


class Story:
    """A campaign with everything that has happened to it, watched by an auditor."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.state: Campaign = new_campaign(CAMPAIGN)
        self.events: list[e.Event] = []
        self.auditor = Auditor(CAMPAIGN)
        self.at = START
        self._commands = 1_000

    def command(self, step: Step) -> c.Command:
        """Make the command of a step, with an id of its own unless it names one."""
        self._commands += 1
        facts = {"campaign_id": CAMPAIGN, "command_id": an_id(self._commands), **step.facts}
        return step.command(by=step.by, **facts)

    def go(self, step: Given) -> list[e.Event]:
        """Take one step, or let time pass. Raises what `handle` raises."""
        if isinstance(step, int):
            self.at += step
            return []
        facts = handle(self.state, self.command(step), self.at)
        self.events += facts
        for each in facts:
            found = self.auditor.feed(each)
            assert found == [], (each, found)
        found = [*check_whole(self.state), *self.auditor.check_whole()]
        assert found == [], (facts, found)
        return facts

    def when(self, *steps: Given) -> Outcome:
        """Take the steps; the outcome is that of the last one."""
        *before, last = steps
        for step in before:
            self.go(step)
        try:
            return Outcome(self, self.go(last), None)
        except (errors.Rejection, errors.Repeated) as refusal:
            return Outcome(self, [], refusal)


class Outcome(NamedTuple):
    """What came of the last step."""

    story: Story
    facts: Sequence[e.Event]
    refusal: errors.Rejection | errors.Repeated | None

    def then(self, *expected: Fact) -> Story:
        """Expect these facts, in order, and no other."""
        assert self.refusal is None, f"{type(self.refusal).__name__}: {self.refusal}"
        assert [type(each) for each in self.facts] == [each.kind for each in expected]
        for each, wanted in zip(self.facts, expected, strict=True):
            told = {name: getattr(each, name) for name in wanted.fields}
            assert told == wanted.fields
        return self.story

    def rejected(self, reason: str) -> Story:
        """Expect that a rule says no, and which."""
        assert isinstance(self.refusal, errors.Rejection), (self.refusal, self.facts)
        assert self.refusal.reason == reason
        return self.story

    def repeated(self, version: int, no: int | None = None) -> Story:
        """Expect to be told where the first outcome stands."""
        assert isinstance(self.refusal, errors.Repeated), (self.refusal, self.facts)
        assert (self.refusal.version, self.refusal.no) == (version, no)
        return self.story


def given(*steps: Given) -> Story:
    """A campaign to which this happened."""
    story = Story()
    for step in steps:
        story.go(step)
    return story


# --- Steps that many tests take ------------------------------------------------------------------


def submit(**changes: Any) -> Step:
    """The creator hands it in."""
    return do(c.SubmitCampaign, CREATOR, channel=CHANNEL, submission=a_submission(**changes))


APPROVE = do(c.ApproveCampaign, STAFF)
LAUNCH = do(c.LaunchCampaign, CREATOR)
CLOSE = do(c.CloseCampaign, SYSTEM)


def live(**changes: Any) -> list[Given]:
    """A campaign that takes pledges."""
    return [submit(**changes), APPROVE, LAUNCH]


def pledge(backer: str, amount_minor: int, pledge_id: str = "", **facts: Any) -> Step:
    """A backer promises money; the backer's only pledge needs no id."""
    facts = {"currency": "BRL", **facts}
    by = facts.pop("by", f"backer:{backer}")
    ids = {"pledge_id": pledge_id or pledge_of(backer), "backer": backer}
    return do(c.MakePledge, by, amount_minor=amount_minor, **ids, **facts)


def pledge_of(backer: str) -> str:
    """The id of a backer's only pledge."""
    return "9" + backer[1:]


def some(reward_id: str, quantity: int = 1) -> tuple[Choice, ...]:
    """So many of one reward."""
    return (Choice(reward_id, quantity),)


def ask(no: int = 1, attempt: int = 1) -> Step:
    """Record that the provider is about to be asked."""
    return do(c.RequestCollection, "system:collect", no=no, attempt=attempt)


def charge(no: int = 1, attempt: int = 1, amount_minor: int = 1_000, **facts: Any) -> Step:
    """The provider says that it charged."""
    report: dict[str, Any] = {"provider": "test_bank", "reference": f"charge/{no}/{attempt}"}
    report |= {"provider_fee_minor": 30, **facts}
    return do(c.RecordCollected, BANK, no=no, attempt=attempt, amount_minor=amount_minor, **report)


def decline(no: int = 1, attempt: int = 1, **facts: Any) -> Step:
    """The provider says no."""
    report: dict[str, Any] = {"code": "insufficient_funds", "retryable": True}
    report |= {"provider": "test_bank", "reference": f"charge/{no}/{attempt}", **facts}
    return do(c.RecordCollectionFailed, BANK, no=no, attempt=attempt, **report)


def paid_by(*amounts: int, **changes: Any) -> list[Given]:
    """A campaign that succeeded and whose backers were charged; the last one settles it."""
    backers = (ANNA, BEN, CLEO)
    steps: list[Given] = [*live(**changes)]
    steps += [pledge(who, minor) for who, minor in zip(backers, amounts, strict=False)]
    steps += [days(30), CLOSE]
    steps += [ask(no) for no in range(1, len(amounts) + 1)]
    return steps + [charge(no, amount_minor=minor) for no, minor in enumerate(amounts, 1)]


def charged_early(*amounts: int, **changes: Any) -> list[Given]:
    """A flexible campaign whose backers were charged at the pledge."""
    backers, terms = (ANNA, BEN, CLEO), {"collect_at": "pledge", **changes.pop("terms", {})}
    steps: list[Given] = [*live(model="flexible", terms=terms, **changes)]
    for no, (who, minor) in enumerate(zip(backers, amounts, strict=False), 1):
        steps += [pledge(who, minor), ask(no), charge(no, amount_minor=minor)]
    return steps


def want_back(
    no: int = 1,
    amount_minor: int = 0,
    refund_id: str = "",
    cause: str = "goodwill",
    by: str = STAFF,
) -> Step:
    """Somebody decides on a refund."""
    facts = {"refund_id": refund_id or an_id(800 + no), "cause": cause}
    return do(c.RequestRefund, by, no=no, amount_minor=amount_minor, **facts)


def refunded(no: int = 1, amount_minor: int = 1_000, refund_id: str = "", **facts: Any) -> Step:
    """The provider sent it back."""
    refund_id = refund_id or an_id(800 + no)
    report = {"provider": "test_bank", "reference": f"refund/{no}", "refund_id": refund_id, **facts}
    return do(c.RecordRefunded, BANK, no=no, amount_minor=amount_minor, **report)


def disputed(
    how: type[c.Command] = c.RecordDisputeOpened,
    no: int = 1,
    amount_minor: int = 1_000,
    **facts: Any,
) -> Step:
    """The backer's bank opens a dispute, or decides it."""
    facts = {"dispute_id": f"dispute/{no}", "provider": "test_bank", **facts}
    return do(how, BANK, no=no, amount_minor=amount_minor, **facts)


VERIFY = do(c.VerifyPayoutAccount, STAFF, account_id=ACCOUNT)
PAYOUT = an_id(901)


def want_out(payout_id: str = PAYOUT, by: str = CREATOR, **facts: Any) -> Step:
    """The creator's side asks for a payout."""
    return do(c.RequestPayout, by, payout_id=payout_id, **facts)


def let_out(payout_id: str = PAYOUT, by: str = TREASURER) -> Step:
    """The treasurer approves it."""
    return do(c.ApprovePayout, by, payout_id=payout_id)


def sent_out(amount_minor: int, payout_id: str = PAYOUT, **facts: Any) -> Step:
    """The provider sent it."""
    report = {"provider": "test_bank", "reference": f"payout/{payout_id[:8]}", **facts}
    return do(c.RecordPayoutSent, BANK, payout_id=payout_id, amount_minor=amount_minor, **report)


TOO_MUCH = MAX_AMOUNT_MINOR + 1
