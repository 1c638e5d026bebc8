"""A backer's receipts on the pages: theirs alone, as files and codes that anybody can check."""

from __future__ import annotations

import asyncio
import html
import io
import re
import shlex
import shutil
import subprocess
from base64 import urlsafe_b64decode
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from app.cli import main
from app.transparency.proof import parse_proof
from app.transparency.receipt_check import check_receipt
from app.transparency.receipts import LeafDiffersError
from app.web.backer.receipt_card import check_command
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running
from tests.web.browsing import Browser, words


async def pledged(running: Running, staff: Caller, **changes: object) -> tuple[Browser, str]:
    """A backer with one pledge, and the address of it."""
    campaign = await running.launched(staff, goal_minor=10_000, **changes)
    browser = Browser(running)
    await browser.pledge(campaign["campaign_id"], amount="200")
    running.platform.follower.catch_up()
    return browser, f"/campaigns/{campaign['campaign_id']}/pledges/1"


async def sign(running: Running) -> None:
    """What the signer does each second."""
    running.platform.follower.catch_up()
    await asyncio.to_thread(running.platform.transparency.catch_up)


def links(page: httpx.Response) -> list[str]:
    """The receipts that a page leads to."""
    return re.findall(r'href="(/campaigns/[^"]+/receipts/\d+)"', page.text)


async def test_a_pledge_has_its_receipt_once_it_is_signed(running: Running, staff: Caller) -> None:
    """Before that the page says "in a moment" and asks again; then it leads to the receipt."""
    browser, own = await pledged(running, staff)
    waiting = await browser.get(own)
    assert "in a moment" in words(waiting)
    assert f'hx-get="{own}/receipts?turn=1"' in waiting.text
    assert links(waiting) == []
    await sign(running)
    part = await browser.get(f"{own}/receipts")
    assert "hx-get" not in part.text
    (address,) = links(part)
    file = await browser.get(f"{address}/receipt.tlog-proof")
    assert file.headers["content-type"] == "text/plain; charset=utf-8"
    named = f'filename="tributary-{own.split("/")[2][:8]}-1-pledged.tlog-proof"'
    assert named in file.headers["content-disposition"]
    verdict = check_receipt(file.text, running.platform.transparency.log_key)
    assert verdict.proved, verdict.points
    assert verdict.facts is not None
    assert verdict.facts.event is not None
    assert verdict.facts.event.no == 1


async def test_the_card_is_the_receipt_itself(
    running: Running, staff: Caller, tmp_path: Path
) -> None:
    """On the page that confirms a pledge: no code before it is signed; then its code is proved, its
    file is there, and the part that the page asks for brings both without loading it again.
    """
    browser, own = await pledged(running, staff)
    waiting = await browser.get(own)
    assert "here in a moment" in words(waiting)
    assert "<svg viewBox" not in card_of(waiting)
    await sign(running)
    part = await browser.get(f"{own}/receipts?turn=1")
    assert 'id="receipt-card" hx-swap-oob="true"' in part.text
    page = await browser.get(own)
    assert "hx-swap-oob" not in page.text
    file = await browser.get(found(r'href="([^"]+/receipt\.tlog-proof)"', card_of(page)))
    for card in (card_of(part), card_of(page)):
        picture = found(r"(<svg .*?</svg>)", card).replace('viewBox="0 0 ', 'width="', 1)
        verdict = check_receipt(read_code(picture, tmp_path), running.platform.transparency.log_key)
        assert verdict.proved
        assert verdict.facts is not None
        assert verdict.facts.index + 1 == int(found(r"/receipts/(\d+)/receipt", card))
        assert verdict.points[-1].reason == "closed"
        brought = found(r'href="/receipts/check#([\w=-]+)"', card)
        assert urlsafe_b64decode(brought).decode() == file.text
        assert running.platform.transparency.log_key.encode() in html.unescape(card)
    assert "SHA-256" not in page.text


async def test_a_damaged_tree_does_not_take_the_page_away(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no receipt can be made the card says so; the rest of the page stands."""
    browser, own = await pledged(running, staff)
    await sign(running)

    def differs(*_: object) -> None:
        raise LeafDiffersError

    monkeypatch.setattr(running.platform.receipts, "receipt", differs)
    page = await browser.get(own)
    assert page.status_code == 200
    assert "do not agree on this pledge" in words(page)


def card_of(page: httpx.Response) -> str:
    """The card's part with the receipt."""
    return page.text.partition('id="receipt-card"')[2]


def found(pattern: str, text: str) -> str:
    """What the first group of a pattern finds."""
    match = re.search(pattern, text)
    assert match is not None, pattern
    return match[1]


@pytest.mark.parametrize(
    ("quorum", "said"),
    [
        (0, "--key log+1+A="),
        (1, "--key log+1+A= --witness w1+2+B= --witness 'w 2+3+C=' --quorum 1"),
        (2, "--key log+1+A= --witness w1+2+B= --witness 'w 2+3+C='"),
    ],
)
def test_the_command_asks_what_the_page_asks(quorum: int, said: str) -> None:
    """With the witnesses that have to sign, and how many of them; a shell takes it as it is."""
    command = check_command("mine.tlog-proof", "log+1+A=", ["w1+2+B=", "w 2+3+C="], quorum)
    assert command == f"tributary receipt check mine.tlog-proof {said}"


async def test_the_printed_command_checks_the_receipt(
    running: Running, staff: Caller, tmp_path: Path
) -> None:
    """As it stands on the receipt's page, with the file that is downloaded there."""
    browser, own = await pledged(running, staff)
    await sign(running)
    (address,) = links(await browser.get(own))
    page = await browser.get(address)
    said = html.unescape(found(r"<pre[^>]*><code>([^<]+)</code>", page.text))
    program, *arguments = shlex.split(said)
    assert program == "tributary"
    file = await browser.get(f"{address}/receipt.tlog-proof")
    kept = tmp_path / arguments[2]
    kept.write_text(file.text)
    arguments[2] = str(kept)
    answer = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert answer.exit_code == 0, answer.output


async def test_charges_and_refunds_have_receipts_too(running: Running, staff: Caller) -> None:
    """Every line of the pledge's own statement, each proved by itself."""
    browser, own = await pledged(running, staff)
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    campaign = own.split("/")[2]
    await running.do(staff, campaign, "cancel", {"cause": "creator_asked"})
    running.work()
    await sign(running)
    page = await browser.get(own)
    told = []
    for address in links(page):
        file = await browser.get(f"{address}/receipt.tlog-proof")
        verdict = check_receipt(file.text, running.platform.transparency.log_key)
        assert verdict.proved, verdict.points
        assert verdict.facts is not None
        assert verdict.facts.public is not None
        told.append(verdict.facts.public.changes[0].kind)
    assert told == ["pledged", "collected", "returned"]


async def test_what_happens_to_all_at_once_is_in_short(running: Running, staff: Caller) -> None:
    """A failed campaign's end is about nobody: its receipt opens the public part alone."""
    campaign = await running.launched(staff, goal_minor=90_000)
    browser = Browser(running)
    await browser.pledge(campaign["campaign_id"], amount="200")
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    await sign(running)
    made, ended = links(await browser.get(f"/campaigns/{campaign['campaign_id']}/pledges/1"))
    file = await browser.get(f"{ended}/receipt.tlog-proof")
    verdict = check_receipt(file.text, running.platform.transparency.log_key)
    assert verdict.proved
    assert verdict.points[-1].reason == "closed"
    assert "the whole campaign at once" in words(await browser.get(ended))
    assert made != ended


async def test_nobody_else_gets_a_receipt(running: Running, staff: Caller) -> None:
    """Another visitor, and another backer of the same campaign, find nothing there."""
    browser, own = await pledged(running, staff)
    other = Browser(running)
    await other.pledge(own.split("/")[2], amount="50")
    await sign(running)
    (address,) = links(await browser.get(own))
    for somebody in (other, Browser(running)):
        for path in (address, f"{address}/receipt.tlog-proof", f"{address}/code.svg"):
            assert (await somebody.get(path)).status_code == 404
        assert (await somebody.get(f"{own}/receipts")).status_code == 404
    position = int(address.rpartition("/")[2])
    theirs = f"{own}/receipts/{position + 1}"
    assert (await browser.get(f"{theirs}/receipt.tlog-proof")).status_code == 404
    assert (await browser.get(f"{own}/receipts/{2**70}")).status_code == 404


async def test_a_receipt_that_is_not_covered_yet_is_asked_for_again(
    running: Running, staff: Caller
) -> None:
    """The page and the files say so, and nothing is given that no checkpoint covers."""
    browser, own = await pledged(running, staff)
    position = running.platform.log.last()[0]
    page = await browser.get(f"{own}/receipts/{position}")
    assert "here in a moment" in words(page)
    for name in ("receipt.tlog-proof", "code.svg"):
        answer = await browser.get(f"{own}/receipts/{position}/{name}")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"


async def test_an_erased_persons_receipt_is_in_short(running: Running, staff: Caller) -> None:
    """Nobody can open the fact any more; its place in the log stays provable."""
    _, own = await pledged(running, staff)
    await sign(running)
    position = running.platform.log.last()[0]
    receipts = running.platform.receipts
    whole = receipts.receipt(position, _backer(running, own), "CNY")
    assert whole is not None
    assert whole.closed == ""
    backer = _backer(running, own)
    await running.platform.erase_person([backer], "")
    short = receipts.receipt(position, backer, "CNY")
    assert short is not None
    assert short.closed == "erased"
    assert short.text == short.short
    assert "event_salt" in str(parse_proof(whole.text).extra)
    assert "event_salt" not in str(parse_proof(short.text).extra)
    assert check_receipt(short.text, running.platform.transparency.log_key).proved


def _backer(running: Running, own: str) -> str:
    def look(state: object) -> str:
        found = state.pledge(1)  # type: ignore[attr-defined]
        return str(found.backer)

    return running.platform.engine.inspect(own.split("/")[2], look)


async def test_the_code_reads_back_as_the_receipt(
    running: Running, staff: Caller, tmp_path: Path
) -> None:
    """What a reader of QR codes sees is the short form, letter by letter, and it is proved."""
    browser, own = await pledged(running, staff)
    await sign(running)
    (address,) = links(await browser.get(own))
    answer = await browser.get(f"{address}/code.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    read = read_code(answer.text, tmp_path)
    verdict = check_receipt(read, running.platform.transparency.log_key)
    assert verdict.proved
    assert verdict.points[-1].reason == "closed"


def read_code(svg: str, folder: Path) -> str:
    """Read a code's picture back, by a program that others wrote."""
    program = shutil.which("zbarimg")
    if program is None:
        pytest.skip("zbarimg (Debian: zbar-tools) reads QR codes; it is not installed")
    drawn = folder / "code.png"
    drawn.write_bytes(as_png(svg))
    found = subprocess.run(
        [program, "--raw", "--quiet", "-Sbinary", str(drawn)], capture_output=True, check=True
    )
    return found.stdout.decode()


def as_png(svg: str) -> bytes:
    """The picture as dots, from the path that the code's rows are drawn with."""
    found = re.search(r'width="(\d+)(?:".*?scale\((\d+)\))?', svg, re.DOTALL)
    assert found is not None, svg[:300]
    # A drawing that fills its place has no scale of its own.
    scale = int(found[2] or 4)
    size = int(found[1]) * (1 if found[2] else scale)
    *_, rows = re.findall(r' d="([^"]+)"', svg)
    picture = Image.new("L", (size, size), 255)
    draw = ImageDraw.Draw(picture)
    x, y = 0.0, 0.0
    for command, values in re.findall(r"([Mmh])([-\d. ,]+)", rows):
        numbers = [float(one) for one in re.findall(r"-?[\d.]+", values)]
        if command == "M":
            x, y = numbers
        elif command == "m":
            x, y = x + numbers[0], y + numbers[1]
        else:
            box = (
                x * scale,
                (y - 0.5) * scale,
                (x + numbers[0]) * scale - 1,
                (y + 0.5) * scale - 1,
            )
            draw.rectangle(box, fill=0)
            x += numbers[0]
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


async def test_the_page_hands_the_receipt_on_behind_the_hash(
    running: Running, staff: Caller
) -> None:
    """The link to the check brings the receipt where no browser sends it to a server."""
    browser, own = await pledged(running, staff)
    await sign(running)
    (address,) = links(await browser.get(own))
    page = await browser.get(address)
    brought = re.search(r'href="/receipts/check#([\w=-]+)"', page.text)
    assert brought is not None
    file = await browser.get(f"{address}/receipt.tlog-proof")
    assert urlsafe_b64decode(brought[1]).decode() == file.text


async def test_the_check_page_shows_the_logs_key(running: Running) -> None:
    """To be held against one from elsewhere; no script stands in the page itself."""
    page = await Browser(running).get("/receipts/check")
    assert running.platform.transparency.log_key.encode() in page.text
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.text)


@pytest.mark.postgres
class TestOnPostgresql:
    """The same where the log, the tree and the people are in a database."""

    @pytest.fixture
    def platform_url(self, postgres_url: str) -> str:
        """A database of this test."""
        return postgres_url

    async def test_charges_and_refunds(self, running: Running, staff: Caller) -> None:
        """Every line proved."""
        await test_charges_and_refunds_have_receipts_too(running, staff)

    async def test_all_at_once(self, running: Running, staff: Caller) -> None:
        """The campaign's end in short."""
        await test_what_happens_to_all_at_once_is_in_short(running, staff)
