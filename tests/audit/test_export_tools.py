"""Exports in the hands of Beancount and hledger: clean as they are, refused with a cent changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final, Literal

import pytest

from domain.events import SubjectErased
from tests.audit.export_stage import Books, checked, three_currencies
from tests.projections.history import History

Tool = Literal["beancount", "hledger"]
TOOLS: Final[tuple[Tool, ...]] = ("beancount", "hledger")


@pytest.fixture
def books(tmp_path: Path, database_url: str) -> Books:
    """A story in three currencies, the log in both stores in turn."""
    return Books(tmp_path, database_url, three_currencies())


@pytest.fixture
def books_in_files(tmp_path: Path) -> Books:
    """The same with the log in a file."""
    return Books(tmp_path, "", three_currencies())


@pytest.mark.parametrize("tool", TOOLS)
def test_the_story_is_clean(books: Books, tool: Tool) -> None:
    """Refunds, disputes, debts, write-offs, stray money and a failure, in JPY, KWD and CNY."""
    path = books.export(tool)
    assert checked(path) == ""
    text = path.read_text()
    for tag in ("dispute.lost", "payout.returned", "debt.written_off", "discrepancy.resolved"):
        assert f"{tag}.v1" in text
    assert re.search(r"Clearing\b.* -3688 ", text), "an account below zero"


@pytest.mark.parametrize("tool", TOOLS)
def test_an_erased_person_changes_nothing(tmp_path: Path, database_url: str, tool: Tool) -> None:
    """Facts that are of no campaign move no money: live views and those made anew pass them by."""
    story = three_currencies()
    erased = SubjectErased(
        stream=f"subject:{story.new_id()}",
        version=1,
        at=story.at,
        by=story.staff,
        command_id=story.new_id(),
        channel="",
        sealed_to=0,
        seal="",
    )
    story.log.append([erased])
    books = Books(tmp_path, database_url, story)
    path = books.export(tool)
    assert checked(path) == ""
    assert "stood at position 56" in path.read_text()
    books.views.unlink()
    assert checked(books.export(tool, at="56")) == ""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tool", TOOLS)
def test_any_history_is_clean(tmp_path: Path, tool: Tool, seed: int) -> None:
    """Whatever campaigns go through, the tools find that events and views agree."""
    history = History(Random(seed))
    for currency in ("JPY", "KWD", "CNY", "BRL") * 3:
        history.open_campaign(currency=currency)
        history.go_on(150)
    books = Books(tmp_path, "", history)
    path = books.export(tool)
    assert path.read_text().count("pledge.collected.v1") > 20
    assert checked(path) == ""


@pytest.mark.parametrize("tool", TOOLS)
def test_one_campaign_alone_is_clean(books: Books, tool: Tool) -> None:
    """Accounts that campaigns share hold, in such an export, what these campaigns posted."""
    for campaign in books.story.campaigns:
        assert checked(books.export(tool, campaign.campaign_id)) == ""
    both = [campaign.campaign_id for campaign in books.story.campaigns[:2]]
    assert checked(books.export(tool, *both)) == ""


@pytest.mark.parametrize("tool", TOOLS)
def test_every_position_is_clean(books_in_files: Books, tool: Tool) -> None:
    """So it is at positions in the past, with views that are made anew."""
    for position in (1, 15, 20, 36, 42, 54):
        path = books_in_files.export(tool, at=str(position))
        assert checked(path) == ""
        assert "as a replay of the log makes them" in path.read_text()


# --- A cent --------------------------------------------------------------------------------------


def amounts(tool: Tool, text: str, currency: str) -> Iterator[re.Match[str]]:
    """The amounts of a currency that are posted in a text."""
    posted = r"^  \w+:\S+ {1,2}(-?[\d.]+) " + currency
    if tool == "hledger":
        posted += "$"  # those with assertions behind them are not transactions
    return re.finditer(posted, text, re.MULTILINE)


def a_unit_more(text: str, number: re.Match[str], units: int = 1) -> str:
    """The text with one number larger by one in its last digit."""
    was = number[1]
    digits = len(was.partition(".")[2])
    minor = int(was.replace(".", "")) + units
    sign, whole = "-" if minor < 0 else "", f"{abs(minor):0{digits + 1}d}"
    now = f"{sign}{whole[:-digits]}.{whole[-digits:]}" if digits else f"{sign}{whole}"
    return text[: number.start(1)] + now + text[number.end(1) :]


@pytest.mark.parametrize("currency", ["JPY", "KWD", "CNY"])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_changed_posting_is_refused(books_in_files: Books, tool: Tool, currency: str) -> None:
    """One unit of one posting: the entry does not balance."""
    path = books_in_files.export(tool)
    text = path.read_text()
    found = list(amounts(tool, text, currency))
    for number in (found[0], found[len(found) // 2], found[-1]):
        for units in (1, -1):
            path.write_text(a_unit_more(text, number, units))
            assert "alance" in checked(path)


@pytest.mark.parametrize("currency", ["JPY", "KWD", "CNY"])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_changed_entry_is_refused(books_in_files: Books, tool: Tool, currency: str) -> None:
    """Two postings of one entry: it balances, and the views say otherwise."""
    path = books_in_files.export(tool)
    first, second, *_ = amounts(tool, path.read_text(), currency)
    path.write_text(a_unit_more(a_unit_more(path.read_text(), second, -1), first))
    assert "alance" in checked(path)


@pytest.mark.parametrize("currency", ["JPY", "KWD", "CNY"])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_changed_balance_is_refused(books_in_files: Books, tool: Tool, currency: str) -> None:
    """One unit of one balance, up or down."""
    path = books_in_files.export(tool)
    text = path.read_text()
    pattern = (
        rf"balance \S+ (-?[\d.]+) ~ 0 {currency}"
        if tool == "beancount"
        else (rf"=\*? (-?[\d.]+) {currency}")
    )
    found = list(re.finditer(pattern, text))
    assert len(found) > 8
    for number in found[:: len(found) // 4]:
        for units in (1, -1):
            path.write_text(a_unit_more(text, number, units))
            assert "alance" in checked(path)


VIEW_CELLS: Final = (
    "journal_accounts SET balance_minor = balance_minor + 1 WHERE name = 'Expenses:WrittenOff'",
    "journal_accounts SET balance_minor = balance_minor - 1 WHERE name = 'Liabilities:Suspense'",
    "journal_postings SET amount_minor = amount_minor + 1 WHERE position = 27 AND line = 0",
    *(
        f"campaign_pages SET {name}_minor = {name}_minor + 1 WHERE currency = 'KWD'"
        for name in (
            "charged", "held", "on_the_way", "paid", "returned", "fees", "owed",
            "written_off", "suspense",
        )
    ),
    *(
        f"pledges SET {name}_minor = {name}_minor - 1 WHERE no = 3"
        for name in (
            "charged", "paid", "drawn", "platform_fee", "processing_fee", "platform_reversed",
            "processing_reversed",
        )
    ),
)  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS)
def test_a_changed_view_is_refused(books_in_files: Books, tool: Tool) -> None:
    """One unit in any cell of the views that tells of money that was moved."""
    untouched = books_in_files.views.read_bytes()
    for cell in VIEW_CELLS:
        books_in_files.tamper_with_views(f"UPDATE {cell}")
        assert "alance" in checked(books_in_files.export(tool)), cell
        books_in_files.views.resolve().write_bytes(untouched)
    assert checked(books_in_files.export(tool)) == ""


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    "row",
    [
        "journal_accounts WHERE name = 'Expenses:DisputeFee'",
        "journal_accounts WHERE currency = 'CNY'",
        "journal_entries WHERE position = 15",
        "journal_by_campaign WHERE position = 43",
        "journal_postings WHERE position = 43 AND line = 1",
        "campaign_pages WHERE currency = 'KWD'",
        "pledges WHERE no = 2",
    ],
)
def test_a_missing_row_of_a_view_is_refused(books_in_files: Books, tool: Tool, row: str) -> None:
    """What the log has and the views lack."""
    books_in_files.tamper_with_views(f"DELETE FROM {row}")  # noqa: S608 - from above
    assert checked(books_in_files.export(tool)) != ""


@pytest.mark.parametrize("tool", TOOLS)
def test_a_changed_event_is_refused(books: Books, tool: Tool) -> None:
    """A charge in the log that is one unit larger than when the views heard of it."""
    rows = books.story.log.rows
    place = next(row for row in rows if row.tag == "pledge.collected.v1")
    assert place.body.count(b'"amount_minor":12345') == 1
    books.set_body(place.position, place.body.replace(b":12345,", b":12346,"))
    assert "alance" in checked(books.export(tool))
