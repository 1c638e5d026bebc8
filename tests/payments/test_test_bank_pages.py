"""The test bank's pages in a Litestar application, without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.config.csrf import CSRFConfig
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.template import TemplateConfig
from litestar.testing import TestClient

from app.payments.port import (
    ActionRequired,
    CollectRequest,
    Declined,
    PreparedMethod,
    PrepareMethod,
    Succeeded,
)
from app.payments.test_bank import pages
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.cards import MAGIC_CARDS, Behaviour, MagicCard
from app.web.templating import environment
from tests.payments.asking import AT, collect

ROOT = Path(__file__).parents[2]
NUMBERS = {card.behaviour: card.number for card in MAGIC_CARDS}
A_DAY = 24 * 60 * 60 * 1_000


class Clock:
    """A clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.at = AT

    def __call__(self) -> int:
        """The time, in milliseconds UTC."""
        return self.at


@pytest.fixture
def clock() -> Clock:
    """The time on the bank's pages."""
    return Clock()


@pytest.fixture
def client(bank: Bank, clock: Clock) -> Iterator[TestClient[Litestar]]:
    """A browser without scripts; the application asks a CSRF token of every form but the bank's."""
    templates = environment(demo=False, clock=clock)
    app = Litestar(
        route_handlers=[pages.test_bank_router(bank, clock=clock)],
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(templates)),
        csrf_config=CSRFConfig(secret="the merchant's own"),
        debug=False,
    )
    with TestClient(app) as client:
        client.follow_redirects = False
        yield client


@pytest.fixture
def prepared(bank: Bank) -> PreparedMethod:
    """A session for a pledge."""
    return bank.prepare_method(
        PrepareMethod(
            reference="pledge-1",
            description="¥0 today. <b>¥120</b> on 12 March, only if the goal is met.",
            return_path="/pledges/1/back?lang=en",
            at=AT,
        )
    )


def token_on(page: str) -> str:
    """The hidden token of the (first) form on a page."""
    found = re.search(r'name="token" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def on_file(path: Path) -> bytes:
    """Everything the bank has written, its write-ahead log included."""
    return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))


def test_the_page_is_plain_and_honest(
    client: TestClient[Litestar], prepared: PreparedMethod
) -> None:
    """It says that no money is real, what will be charged, and offers every magic card; it has no
    script, no inline style, and escapes what the merchant wrote.
    """
    answer = client.get(prepared.url)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "No real money" in answer.text
    assert "&lt;b&gt;¥120&lt;/b&gt; on 12 March" in answer.text
    for card in MAGIC_CARDS:
        assert f'value="{card.number}"' in answer.text
        assert pages.LABELS[card.behaviour].replace("'", "&#39;") in answer.text
    assert answer.text.count(" checked") == 1
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert "<style" not in answer.text
    assert 'href="/static/test_bank.css"' in answer.text
    assert (ROOT / "app/web/static/test_bank.css").is_file()


def test_one_click_gives_a_card_and_goes_back(
    client: TestClient[Litestar], bank: Bank, prepared: PreparedMethod
) -> None:
    """The chosen card becomes the session's method, and the browser goes where we said."""
    page = client.get(prepared.url).text

    answer = client.post(
        prepared.url, data={"token": token_on(page), "card": NUMBERS["success"], "number": ""}
    )

    method = bank.method_of(prepared.session)
    assert method is not None
    assert (method.reference, method.last4) == ("pledge-1", "0001")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/pledges/1/back?lang=en&method={method.method_id}"
    assert isinstance(collect(bank, "k", method.method_id), Succeeded)


@pytest.mark.parametrize("card", [card for card in MAGIC_CARDS if card.behaviour != "decline"])
def test_a_typed_number_wins_over_the_chosen_card(
    client: TestClient[Litestar], bank: Bank, prepared: PreparedMethod, card: MagicCard
) -> None:
    """Every magic number can be typed with spaces, and counts instead of the button above it."""
    number = card.spaced
    token = token_on(client.get(prepared.url).text)

    answer = client.post(
        prepared.url, data={"token": token, "card": NUMBERS["decline"], "number": f" {number} "}
    )

    assert answer.status_code == 303
    method = bank.method_of(prepared.session)
    assert method is not None
    assert number.endswith(method.last4)


def test_the_number_is_never_kept(
    client: TestClient[Litestar], bank: Bank, bank_path: Path, prepared: PreparedMethod
) -> None:
    """Neither the number nor its plain hash is anywhere in the bank's file."""
    token = token_on(client.get(prepared.url).text)
    number = NUMBERS["slow"]

    client.post(prepared.url, data={"token": token, "number": number})

    method = bank.method_of(prepared.session)
    assert method is not None
    written = on_file(bank_path)
    assert method.method_id.encode() in written
    assert number.encode() not in written


def test_the_fingerprint_is_equal_for_a_card_and_the_banks_own(
    client: TestClient[Litestar], bank: Bank, tmp_path: Path
) -> None:
    """The same card has one fingerprint at this bank, another card another, and another bank
    another.
    """

    def fingerprint(at: Bank, behaviour: Behaviour) -> str:
        prepared = at.prepare_method(
            PrepareMethod(reference="p", description="d", return_path="/", at=AT)
        )
        session = at.session(prepared.session)
        assert session is not None
        at.give_card(session, NUMBERS[behaviour], AT)
        method = at.method_of(prepared.session)
        assert method is not None
        return method.fingerprint

    other = Bank(tmp_path / "other.db", notification_secret=b"secret")

    assert fingerprint(bank, "success") == fingerprint(bank, "success")
    assert fingerprint(bank, "success") != fingerprint(bank, "slow")
    assert fingerprint(bank, "success") != fingerprint(other, "success")
    other.close()


@pytest.mark.parametrize("number", ["4000 0000 0000 0002", "not a number", "", "x" * 100_000])
def test_a_number_that_is_no_test_card_is_refused_and_forgotten(
    client: TestClient[Litestar],
    bank: Bank,
    bank_path: Path,
    prepared: PreparedMethod,
    number: str,
) -> None:
    """It is said so on the page; the number is neither kept nor shown again."""
    token = token_on(client.get(prepared.url).text)

    answer = client.post(prepared.url, data={"token": token, "number": number})

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert not number or number not in answer.text
    assert bank.method_of(prepared.session) is None
    assert not number or number.encode() not in on_file(bank_path)


def test_the_declined_card_is_refused_and_another_can_be_chosen(
    client: TestClient[Litestar], bank: Bank, prepared: PreparedMethod
) -> None:
    """A card declined at once leaves the session open for the next."""
    token = token_on(client.get(prepared.url).text)

    refused = client.post(prepared.url, data={"token": token, "card": NUMBERS["decline"]})
    taken = client.post(
        prepared.url, data={"token": token_on(refused.text), "card": NUMBERS["success"]}
    )

    assert refused.status_code == 422
    assert "declined" in refused.text
    assert taken.status_code == 303


def test_a_session_takes_one_card(
    client: TestClient[Litestar], bank: Bank, prepared: PreparedMethod
) -> None:
    """Sent twice, or come back to, the page leads back with the first card."""
    token = token_on(client.get(prepared.url).text)
    first = client.post(prepared.url, data={"token": token, "card": NUMBERS["success"]})
    second = client.post(prepared.url, data={"token": token, "card": NUMBERS["slow"]})

    assert second.headers["location"] == first.headers["location"]
    assert client.get(prepared.url).headers["location"] == first.headers["location"]
    method = bank.method_of(prepared.session)
    assert method is not None
    assert method.last4 == "0001"


def test_a_form_without_the_token_of_its_session_is_refused(
    client: TestClient[Litestar], bank: Bank, prepared: PreparedMethod
) -> None:
    """Neither no token, a made-up one, nor another session's will do."""
    other = bank.prepare_method(
        PrepareMethod(reference="p2", description="d", return_path="/", at=AT)
    )
    foreign = token_on(client.get(other.url).text)

    for token in ("", "0" * 32, "é", foreign):
        answer = client.post(prepared.url, data={"token": token, "card": NUMBERS["success"]})
        assert answer.status_code == 403
    assert bank.method_of(prepared.session) is None


def test_a_form_with_unknown_fields_is_refused(
    client: TestClient[Litestar], prepared: PreparedMethod
) -> None:
    """What the page never sends is a bad request."""
    token = token_on(client.get(prepared.url).text)

    answer = client.post(
        prepared.url, data={"token": token, "card": NUMBERS["success"], "amount": "1"}
    )

    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["pay/nothing", "confirm/nothing"])
def test_what_does_not_exist_is_not_found(client: TestClient[Litestar], path: str) -> None:
    """A made-up session or payment is 404, to look at and to answer."""
    assert client.get(f"/test-bank/{path}").status_code == 404
    answer = client.post(f"/test-bank/{path}", data={"decision": "approve"})
    assert answer.status_code in {400, 404}


def confirmable(bank: Bank, return_path: str = "") -> str:
    """A payment that waits for its card holder; returns the address of its page."""
    (outcome,) = bank.collect_many(
        [
            CollectRequest(
                key="log/campaign/7/1",
                method_id=bank.prepare_method_direct("needs_confirmation", at=AT),
                amount_minor=12_050,
                currency="BRL",
                at=AT,
                return_path=return_path,
            )
        ]
    )
    assert isinstance(outcome, ActionRequired)
    return outcome.url


def test_a_payment_is_confirmed_on_its_page(client: TestClient[Litestar], bank: Bank) -> None:
    """The page names the amount; approving moves it, and the page then says so."""
    url = confirmable(bank)
    page = client.get(url).text
    assert "BRL 120.50" in page

    answer = client.post(url, data={"token": token_on(page), "decision": "approve"})

    assert answer.status_code == 303
    assert isinstance(bank.look_up("log/campaign/7/1"), Succeeded)
    assert "Payment confirmed" in client.get(answer.headers["location"]).text


def test_a_payment_is_refused_on_its_page(client: TestClient[Litestar], bank: Bank) -> None:
    """Refusing declines it for good and leads back to us where we asked for that."""
    url = confirmable(bank, "/pledges/7")
    token = token_on(client.get(url).text)

    answer = client.post(url, data={"token": token, "decision": "refuse"})

    assert answer.headers["location"] == "/pledges/7"
    assert bank.look_up("log/campaign/7/1") == Declined(
        code="confirmation_refused", retryable=False
    )
    after = client.get(url).text
    assert "Nothing was paid" in after
    assert 'href="/pledges/7"' in after


def test_a_payment_cannot_be_confirmed_without_its_token(
    client: TestClient[Litestar], bank: Bank
) -> None:
    """A form another site made moves nothing."""
    url = confirmable(bank)

    answer = client.post(url, data={"token": "0" * 32, "decision": "approve"})

    assert answer.status_code == 403
    assert bank.statement() == []


def test_a_payment_whose_time_is_over_says_so(
    client: TestClient[Litestar], bank: Bank, clock: Clock
) -> None:
    """An expired payment offers no button, and an old form moves nothing."""
    url = confirmable(bank)
    token = token_on(client.get(url).text)
    clock.at += A_DAY

    assert "Nothing was paid" in client.get(url).text
    client.post(url, data={"token": token, "decision": "approve"})
    assert bank.statement() == []


def test_disputes_are_decided_on_their_page(
    client: TestClient[Litestar], bank: Bank, clock: Clock
) -> None:
    """The page lists disputes with a form each; a decided one has none and cannot be turned."""
    assert "No card holder" in client.get("/test-bank/disputes").text
    collect(bank, "k", bank.prepare_method_direct("dispute", at=AT), 12_050)
    bank.run_due(AT + 1_000)
    page = client.get("/test-bank/disputes").text
    assert "BRL 120.50" in page
    token = token_on(page)

    forged = client.post("/test-bank/disputes/TBD1", data={"token": "0" * 32, "decision": "lost"})
    decided = client.post("/test-bank/disputes/TBD1", data={"token": token, "decision": "lost"})
    turned = client.post("/test-bank/disputes/TBD1", data={"token": token, "decision": "won"})

    assert forged.status_code == 403
    assert decided.status_code == 303
    assert turned.status_code == 409
    assert bank.totals()["BRL"].dispute_lost_minor == 12_050
    assert "<form" not in client.get("/test-bank/disputes").text


def test_each_browser_has_cards_of_its_own(
    client: TestClient[Litestar], bank: Bank, prepared: PreparedMethod
) -> None:
    """The same number in one browser is one card, in another browser another."""

    def given(session: PreparedMethod) -> str:
        page = client.get(session.url)
        client.post(session.url, data={"token": token_on(page.text), "card": NUMBERS["success"]})
        method = bank.method_of(session.session)
        assert method is not None
        return method.fingerprint

    sessions = [
        bank.prepare_method(PrepareMethod(reference="p", description="d", return_path="/", at=AT))
        for _ in range(2)
    ]
    first, again = given(prepared), given(sessions[0])
    client.cookies.clear()
    assert first == again
    assert given(sessions[1]) != first
