"""The statement over all campaigns: it adds up, as a page, a table and a document."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

from fontTools.ttLib import TTFont  # type: ignore[import-untyped]  # it has no types

from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running
from tests.web.browsing import Browser, words

FONTS = Path(__file__).parents[3] / "app" / "documents" / "fonts"
FONT_BYTES = 4 * 2**20


async def charged(running: Running, staff: Caller) -> Browser:
    """A backer with a pledge that was charged and one that was cancelled, in two campaigns."""
    first = await running.launched(staff, goal_minor=10_000)
    second = await running.launched(staff, title="=Boats made of paper", goal_minor=90_000)
    browser = Browser(running)
    await browser.pledge(first["campaign_id"], amount="200")
    await browser.pledge(second["campaign_id"], amount="50.50")
    running.platform.follower.catch_up()
    at = f"/campaigns/{second['campaign_id']}/pledges/1/withdraw"
    await browser.submit(await browser.get(at), at)
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    return browser


async def test_the_statement_adds_up_line_by_line(running: Running, staff: Caller) -> None:
    """From the opening over each line to the closing, by what the table itself says."""
    browser = await charged(running, staff)
    answer = await browser.get("/me/statement.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.startswith("\N{ZERO WIDTH NO-BREAK SPACE}")
    rows = list(csv.DictReader(io.StringIO(answer.text[1:])))
    assert [row["kind"] for row in rows] == [
        "opening",
        "pledged",
        "pledged",
        "withdrawn",
        "charged",
        "fees",
        "closing",
    ]
    pledged = held = 0
    for row in rows[1:-1]:
        promise = row["kind"] in ("pledged", "withdrawn")
        pledged += int(row["amount_minor"]) if promise else 0
        held += 0 if promise else int(row["amount_minor"])
        assert (int(row["pledged_minor"]), int(row["held_minor"])) == (pledged, held)
    assert (rows[-1]["pledged_minor"], rows[-1]["held_minor"]) == ("20000", "18600")
    assert rows[3]["Amount"] == "-50.50"
    page = words(await browser.get("/me"))
    assert "Opening ¥0 ¥0" in page
    assert "Closing ¥200 ¥186" in page


async def test_a_title_is_never_a_formula(running: Running, staff: Caller) -> None:
    """What a spreadsheet would carry out is marked as text."""
    browser = await charged(running, staff)
    text = (await browser.get("/me/statement.csv")).text
    assert "'=Boats made of paper" in text


async def test_the_statement_as_pdf_in_both_languages(running: Running, staff: Caller) -> None:
    """A PDF of a modest size; the Chinese one, too, is drawn with a font that has it."""
    browser = await charged(running, staff)
    for language in ("en", "zh"):
        answer = await browser.get(f"/me/statement.pdf?lang={language}")
        assert answer.content.startswith(b"%PDF-")
        assert b"NotoSansSC" in answer.content.replace(b" ", b"")
        assert len(answer.content) < 200_000


async def test_nobody_reads_anothers_statement(running: Running, staff: Caller) -> None:
    """A browser without pledges gets an empty one."""
    await charged(running, staff)
    other = await Browser(running).get("/me/statement.csv")
    assert len(other.text.splitlines()) == 1


def test_the_font_is_the_one_in_the_manifest() -> None:
    """Every file from elsewhere stands there with its licence and its hash, and is small."""
    manifest = json.loads((FONTS / "manifest.json").read_text())
    listed = {entry["file"]: entry for entry in manifest}
    found = {path.name for path in FONTS.iterdir()} - {"manifest.json"}
    assert set(listed) == found
    for name, entry in listed.items():
        assert entry["sha256"] == hashlib.sha256((FONTS / name).read_bytes()).hexdigest()
        assert entry["licence"] == "OFL-1.1"
        assert entry["version"]
    assert sum(path.stat().st_size for path in FONTS.iterdir()) < FONT_BYTES


def test_the_font_has_every_character_of_common_chinese() -> None:
    """All of GB 2312, the marks of the amounts, and Latin letters with their accents."""
    with TTFont(FONTS / "noto-sans-sc-regular.ttf") as font:
        known = set(font.getBestCmap())
    common = {
        ord(bytes((high, low)).decode("gb2312"))
        for high in range(0xB0, 0xF7)
        for low in range(0xA1, 0xFF)
        if (high, low) not in {(0xD7, end) for end in range(0xFA, 0xFF)}
    }
    assert common <= known
    assert {ord(c) for c in "¥€₩éß\N{MINUS SIGN}“”《》，。"} <= known
