"""Receipts in a real browser: from a pledge to the check, with the program's own verdicts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from app.transparency.receipt_check import Verdict, check_receipt
from tests.browser.walk import Walk
from tests.transparency.receipt_making import (
    LOG,
    OTHER_LOG,
    TOLD_TAGS,
    WITNESSES,
    Case,
    damaged,
    good,
    hash_missing,
    lies,
    next_index,
    not_json,
    other_salt,
    signature_of_another_text,
    witness_wrong,
)

pytestmark = pytest.mark.browser

KEY = LOG.verifier.encode()
NAMED = [one.verifier.encode() for one in WITNESSES]

ASKED = """async ([texts, key, witnesses]) => {
  const script = document.querySelector("script[src*=receipt_check]").src;
  const { checkReceipt, readKey } = await import(script);
  const named = await Promise.all(witnesses.map((one) => readKey(one, 4)));
  const log = await readKey(key, 1);
  const found = [];
  for (const text of texts) {
    const { points } = await checkReceipt(text, log, named);
    found.push(points.map(({ name, ok, reason }) => [name, ok, reason]));
  }
  return found;
}"""


def told(verdict: Verdict) -> list[list[Any]]:
    """What the program says, point by point."""
    return [[point.name, point.ok, point.reason] for point in verdict.points]


def test_the_browser_and_the_program_say_the_same(browser: Browser, demo_url: str) -> None:
    """Of two hundred damaged receipts, of a log that lies, and of every kind of good one: the same
    points hold, and for the same reasons.
    """
    whole = [Case(tag, good(tag, short=short), "") for tag in TOLD_TAGS for short in (False, True)]
    cases = [*damaged(), *lies(), *whole]
    page = browser.new_page()
    page.goto(f"{demo_url}/receipts/check")
    answers = page.evaluate(ASKED, [[case.text for case in cases], KEY, NAMED])
    page.close()
    keys = [one.verifier for one in WITNESSES]
    for case, answer in zip(cases, answers, strict=True):
        assert answer == told(check_receipt(case.text, LOG.verifier, keys)), case.name


@pytest.mark.parametrize(
    ("width", "scheme", "chinese"), [(1280, "light", False), (390, "dark", True)]
)
def test_from_a_pledge_to_its_proof(
    browser: Browser,
    demo_url: str,
    width: int,
    scheme: Any,  # noqa: ANN401 - light or dark
    chinese: bool,
) -> None:
    """The pledge's page leads to the receipt, that to the check, and the check says yes."""
    with Walk(browser, demo_url, width=width, scheme=scheme, chinese=chinese) as walk:
        walk.act_as("backer")
        page = walk.go("/me")
        page.locator("a[href*='/receipts/'][aria-label]").first.click()
        page.wait_for_selector(".code-picture svg")
        walk.look()
        with page.expect_download() as downloaded:
            page.locator("a[href$='/receipt.tlog-proof']").click()
        assert re.fullmatch(
            r"tributary-[0-9a-f]{8}-\d+-\w+\.tlog-proof", downloaded.value.suggested_filename
        )
        page.locator("a[href^='/receipts/check#']").click()
        expect(page.locator("[data-part=result]")).to_be_visible()
        walk.look()
        expect(page.locator(".result.proved h2")).to_be_focused()
        assert page.locator("[data-state=good]").count() >= 3
        assert page.locator("[data-state=bad]").count() == 0
        page.goto(f"{demo_url}/me")
        page.locator("table.statement a[href*='/pledges/']").first.click()
        walk.look()
        assert page.locator(".receipt-list a").count() >= 1


def test_after_a_pledge_the_receipt_comes_by_itself(browser: Browser, demo_url: str) -> None:
    """On the page that says thank you, without anybody loading it again; it is checked at once."""
    with Walk(browser, demo_url) as walk:
        page = walk.go("/discover?q=viaduct")
        walk.click(re.compile("Film nights under the viaduct"), "link")
        walk.click("Pledge to this campaign", "link")
        page.get_by_role("radio", name=re.compile("Poster")).check()
        page.get_by_label("Country or region").select_option("CN")
        page.get_by_label("Mail address").fill("receipts@example.net")
        walk.click("Go to payment")
        walk.click("Use this card")
        expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()
        link = page.locator(".receipt-list a")
        expect(link).to_have_count(1, timeout=60_000)
        expect(page.locator("#receipts")).not_to_have_attribute("hx-get", re.compile("."))
        card = page.locator("#receipt-card")
        expect(card.locator(".code-picture svg")).to_be_visible()
        expect(card.locator("a[href$='/receipt.tlog-proof']")).to_be_visible()
        walk.look()
        page.emulate_media(media="print")
        expect(card.locator(".code-picture svg")).to_be_visible()
        expect(card.locator(".actions")).to_be_hidden()
        page.emulate_media(media="screen")
        card.locator("a[href^='/receipts/check#']").click()
        expect(page.locator(".result.proved")).to_be_visible()
        expect(page.locator("[data-fact=amount]")).to_contain_text("132")


def check(page: Page, text: str, *, key: str = KEY, witnesses: str = "") -> None:
    """Put a receipt in and have it checked."""
    page.locator("#receipt").fill(text)
    put_keys(page, key, witnesses)
    page.locator("[data-part=check]").click()


def put_keys(page: Page, key: str = KEY, witnesses: str = "") -> None:
    """Keys of the log and of witnesses, in the place of the site's own."""
    page.locator("#key").fill(key)
    page.locator("details:has(#witnesses)").evaluate("(it) => { it.open = true; }")
    page.locator("#witnesses").fill(witnesses)
    page.locator("#quorum").fill("")


def test_each_damaged_part_is_red_in_its_own_line(browser: Browser, demo_url: str) -> None:
    """One line is red and says why in words; nothing is claimed; nothing leaves the page."""
    page = browser.new_page()
    page.goto(f"{demo_url}/receipts/check", wait_until="networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    cases = [(case.text, case.fails, "") for case in lies()[:1]]
    cases += [
        (hash_missing(good()), "entry", ""),
        (next_index(good()), "entry", ""),
        (not_json(good()), "form", ""),
        (other_salt(good(short=True)), "entry", ""),
        (signature_of_another_text(good()), "signature", ""),
        (witness_wrong(good()), "witnesses", NAMED[0]),
    ]
    for text, fails, witnesses in cases:
        check(page, text, witnesses=witnesses)
        line = page.locator(f"[data-check={fails}]")
        expect(line).to_have_attribute("data-state", "bad")
        expect(line.locator(".outcome")).to_have_text(re.compile(r"\w{3}"))
        assert page.locator("[data-state=bad]").count() == 1
        expect(page.locator(".result.refused")).to_be_visible()
        expect(page.locator("[data-part=facts]")).to_be_hidden()
    check(page, not_json(good()))
    form, entry = page.locator("[data-check=form]"), page.locator("[data-check=entry]")
    expect(form.locator(".outcome")).to_contain_text("What opens the entry is missing or damaged.")
    expect(entry.locator("h3 [data-when=open]")).to_have_text("Not checked.")
    expect(entry).to_have_attribute("data-state", "open")
    check(page, good(), witnesses="\n".join(NAMED))
    expect(page.locator(".result.proved")).to_be_visible()
    expect(page.locator("[data-fact=witnesses]")).to_contain_text("w2.example.org")
    check(page, good(), key=OTHER_LOG.verifier.encode())
    expect(page.locator("[data-check=signature]")).to_have_attribute("data-state", "bad")
    assert asked == []
    page.close()


def test_a_file_is_chosen_and_the_keyboard_is_enough(
    browser: Browser, demo_url: str, tmp_path: Path
) -> None:
    """A chosen file is checked at once; every control is reached by Tab; the verdict is focused."""
    file = tmp_path / "mine.tlog-proof"
    file.write_text(good())
    page = browser.new_page()
    page.goto(f"{demo_url}/receipts/check")
    put_keys(page)
    page.locator("#file").set_input_files(file)
    expect(page.locator(".result.proved")).to_be_visible()
    page.locator("#file").focus()
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached == ["receipt", "key", "SUMMARY", "witnesses", "quorum", "BUTTON"]
    page.keyboard.press("Enter")
    expect(page.locator("#result-title")).to_be_focused()
    file.write_bytes(b"\xff\xfe\x00")
    page.locator("#file").set_input_files(file)
    expect(page.locator("[data-part=trouble] [data-when=not_text]")).to_be_visible()
    page.close()


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("Object.defineProperty(globalThis, 'isSecureContext', { value: false })", "insecure"),
        (
            "crypto.subtle.importKey = () => Promise.reject(new DOMException(''))",
            "no_ed25519",
        ),
    ],
)
def test_a_browser_that_cannot_says_so(
    browser: Browser, demo_url: str, missing: str, said: str
) -> None:
    """In words, and without a verdict."""
    page = browser.new_page()
    page.add_init_script(missing)
    page.goto(f"{demo_url}/receipts/check")
    check(page, good())
    expect(page.locator(f"[data-part=trouble] [data-when={said}]")).to_be_visible()
    expect(page.locator("[data-part=result]")).to_be_hidden()
    page.close()


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("", KEY, "empty"),
        ("c2sp.org/tlog-proof@v1", "", "no_key"),
        ("c2sp.org/tlog-proof@v1", "hello", "key_unreadable"),
        ("c2sp.org/tlog-proof@v1", KEY[:-5] + "AAAAA", "key_damaged"),
        ("c2sp.org/tlog-proof@v1", NAMED[0], "key_type"),
    ],
)
def test_what_is_missing_is_said(
    browser: Browser, demo_url: str, text: str, key: str, said: str
) -> None:
    """Before anything is checked."""
    page = browser.new_page()
    page.goto(f"{demo_url}/receipts/check")
    check(page, text, key=key)
    expect(page.locator(f"[data-part=trouble] [data-when={said}]")).to_be_visible()
    page.close()
