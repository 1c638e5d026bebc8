"""Every mail that the log leads to can be written, in both languages, whatever the case."""

from __future__ import annotations

import re

import pytest
from babel.messages.pofile import read_po
from msgspec.structs import replace

from app.mail.campaigns import Card, Mine, Pledge
from app.mail.kinds import KINDS, LOCKED, TITLES, TOLD
from app.mail.rendering import Letter, Renderer, paragraphs
from app.mail.rules import RULES
from app.web.language import FOLDER
from app.web.templating import TEMPLATES, environment
from domain.terms import Terms
from tests.api.running import Json

DAY = 86_400_000
AT = 1_773_316_800_000

CARD = Card(
    id="c1",
    key=1,
    channel="h1",
    creator="p1",
    title="TITLE",
    language="en",
    currency="CNY",
    model="all_or_nothing",
    phase="live",
    goal_minor=8_000_000,
    pledged_minor=6_640_000,
    deadline_at=AT + 30 * DAY,
    launched_at=AT,
    terms=Terms(),
)
PLEDGE = Pledge(
    no=7,
    backer="p2",
    status="made",
    amount_minor=12_000,
    charged_minor=0,
    paid_minor=0,
    has_rewards=True,
)
CHARGED = replace(PLEDGE, charged_minor=12_000, status="collected")


class Facts:
    """An event that has whatever a template may ask of one."""

    late = False
    amount_minor = 12_000
    debt_minor = 0
    quantity = 3
    no = 7
    pledged_minor = 6_640_000
    pledges = 2
    usable_from_at = AT + 7 * DAY

    def __init__(self, **changes: Json) -> None:
        self.__dict__.update(changes)


CASES: list[tuple[str, Json]] = [
    ("pledge_made", {}),
    ("pledge_made", {"event": Facts(late=True)}),
    ("pledge_made", {"campaign": replace(CARD, terms=Terms(collect_at="pledge"))}),
    ("pledge_charged", {"mine": Mine((CHARGED,))}),
    ("payment_problem", {}),
    ("payment_problem", {"mine": Mine((replace(PLEDGE, status="action_required"),))}),
    ("payment_problem", {"retry_at": None, "mine": Mine((replace(PLEDGE, has_rewards=False),))}),
    ("pledge_dropped", {}),
    ("campaign_succeeded", {}),
    ("campaign_succeeded", {"campaign": replace(CARD, model="flexible"), "mine": Mine((CHARGED,))}),
    ("campaign_failed", {}),
    ("campaign_failed", {"mine": Mine((CHARGED, PLEDGE))}),
    ("campaign_cancelled", {}),
    ("campaign_cancelled", {"mine": Mine((CHARGED,))}),
    ("campaign_cancelled", {"mine": Mine((replace(CHARGED, paid_minor=4_000),))}),
    ("campaign_suspended", {}),
    ("campaign_suspended", {"mine": Mine((CHARGED,))}),
    ("campaign_resumed", {}),
    ("update_posted", {"title": "", "body": "BODY"}),
    ("delivery_sent", {}),
    ("refund_sent", {}),
    ("refund_failed", {}),
    ("campaign_submitted", {}),
    ("campaign_returned", {}),
    ("campaign_approved", {}),
    *[
        (name, {"outcome": outcome})
        for name in ("creator_ended", "followed_ended")
        for outcome in ("succeeded", "failed", "cancelled")
    ],
    ("creator_ended", {"campaign": replace(CARD, terms=Terms(collect_at="pledge"))}),
    ("creator_suspended", {}),
    ("creator_resumed", {}),
    ("need_offered", {}),
    ("need_offered", {"title": ""}),
    ("payout_account_changed", {}),
    ("payout_requested", {}),
    ("payout_approved", {}),
    ("payout_approved", {"event": Facts(debt_minor=500)}),
    ("payout_refused", {}),
    ("payout_sent", {}),
    ("payout_failed", {}),
    ("followed_launched", {}),
    ("followed_reminder", {}),
    ("followed_update", {}),
    ("follow_confirm", {"title": "TITLE"}),
]


def rendered(name: str, language: str, changes: Json) -> Letter:
    """A mail of a case."""
    renderer = Renderer(lambda: environment(demo=False, clock=lambda: AT), "https://t.example.org")
    context = {
        "campaign": CARD,
        "mine": Mine((PLEDGE,)),
        "event": Facts(),
        "at": AT,
        "outcome": "succeeded",
        "title": "NEWS",
        "body": "BODY",
        "kept_until": AT + 7 * DAY,
        "retry_at": AT + DAY,
        "fix_path": "/fix/abc",
        "confirm_path": "/follow/abc",
        "pledge_path": "/campaigns/c1/pledges/7",
    }
    return renderer.render(name, language, off_path="/mail/off/abc", **context | changes)


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_a_mail_is_short_concrete_and_has_one_link(name: str, changes: Json) -> None:
    """A subject on one line, at most five short paragraphs, one link beside the one to end it."""
    for language in ("en", "zh-Hans"):
        letter = rendered(name, language, changes)
        assert 0 < len(letter.subject) <= 90
        body, _, foot = letter.text.partition("\n--\n")
        assert len(re.findall(r"https://t\.example\.org/", body)) == 1
        assert "https://t.example.org/mail/off/abc" in foot
        assert 2 <= len(paragraphs(body, "https://t.example.org")) <= 6
        assert not re.search(r"\{|\}|%\(|None", letter.text + letter.subject)
        assert letter.html.count("<a ") == 2
    assert re.search("[\u4e00-\u9fff]", rendered(name, "zh-Hans", changes).text)


def test_every_mail_of_the_log_has_a_case() -> None:
    """What the rules name is a template, and each is tried above."""
    source = (TEMPLATES.parent / "app/mail/rules.py").read_text()
    named = set(re.findall(r'"([a-z]+_[a-z_]+)"', source))
    assert named <= {name for name, _ in CASES}
    assert [name for name in named if not (TEMPLATES / f"mail/{name}.txt").exists()] == []
    assert len(RULES) > 20


def test_every_kind_is_told() -> None:
    """Each kind of mails has a title and says what it is about; what stays on says why."""
    assert set(TITLES) == set(TOLD) == set(KINDS)
    assert all("stay on" in TOLD[kind] for kind in LOCKED)


def test_what_a_creator_wrote_cannot_look_like_our_button() -> None:
    """Only links to our own pages become links in the HTML; markup is text."""
    body = 'https://evil.example.org/\n\n<img src="x"> https://t.example.org.evil.example.org/'
    letter = rendered("update_posted", "en", {"body": body})
    assert letter.html.count("<a ") == 2
    assert "<img" not in letter.html


def test_the_catalogue_holds_each_sentence_once() -> None:
    """No sentence is translated twice in our catalogue, and none is left empty."""
    with (FOLDER / "zh-Hans" / "mail.po").open("rb") as file:
        messages = [message for message in read_po(file) if message.id]
    assert [message.id for message in messages if not message.string] == []
