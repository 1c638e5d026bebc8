"""`tributary audit export`: what is written, where to, and what is refused."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from app.audit.commands import audit
from app.audit.export.entries import batches
from app.audit.export.flat import COLUMNS
from app.audit.export.making import export
from app.audit.export.wanted import FORMATS, Format, Wanted
from app.audit.export.wording import book_name, decimal_text, tool_name
from app.audit.reader import AuditLog, CannotAudit
from app.settings import Settings
from domain import ledger
from domain.codec import decode
from domain.events import PledgeMade
from domain.money import EXPONENTS
from tests.audit.export_stage import Books, three_currencies

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "exports"
NAMES: Final[dict[Format, str]] = {
    "beancount": "books.beancount",
    "hledger": "books.journal",
    "csv": "postings.csv",
    "parquet": "postings.parquet",
    "ndjson": "postings.ndjson",
}


@pytest.fixture
def books(tmp_path: Path, database_url: str) -> Books:
    """A story in three currencies, the log in both stores in turn."""
    return Books(tmp_path, database_url, three_currencies())


@pytest.fixture
def books_in_files(tmp_path: Path) -> Books:
    """The same with the log in a file."""
    return Books(tmp_path, "", three_currencies())


def run(books: Books, *arguments: str, json: bool = False) -> Result:
    """Type `tributary audit export …`."""
    settings = Settings(
        data_dir=books.folder,
        host="127.0.0.1",
        port=0,
        public_url="http://127.0.0.1",
        secret=b"s" * 32,
        test_bank_secret=b"t" * 32,
        demo=False,
        database_url=books.log if isinstance(books.log, str) else "",
    )
    options = SimpleNamespace(settings=settings, json=json)
    return CliRunner().invoke(audit, ["export", *arguments], obj=options)


# --- What is written -----------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["beancount", "hledger", "csv", "ndjson"])
def test_it_is_written_like_this(books: Books, format_: Format) -> None:
    """One campaign in KWD, byte for byte. Where the file to compare with is missing it is made."""
    campaign = books.story.campaigns[1].campaign_id
    written = books.export(format_, campaign).read_text().replace(books.log_id, "LOG")
    golden = GOLDEN / NAMES[format_]
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(written)
        pytest.fail(f"{golden} was made: look at it")
    assert written == golden.read_text()


def test_parquet_has_types(books: Books) -> None:
    """The Parquet file says the same as the others, with a type for each column."""
    file = pq.ParquetFile(books.export("parquet"))
    columns = {field.name: field.type for field in file.schema_arrow}
    assert tuple(columns) == COLUMNS
    few = pa.dictionary(pa.int32(), pa.string())
    assert columns["at"] == pa.timestamp("ms", tz="UTC")
    assert columns["day"] == pa.date32()
    assert columns["position"] == columns["pledge"] == columns["minor"] == pa.int64()
    assert columns["account"] == columns["currency"] == columns["event"] == few
    about = file.schema_arrow.metadata
    assert (about[b"log"], about[b"position"]) == (books.log_id.encode(), b"55")
    found = [_as_json(row) for row in file.read().to_pylist()]
    lines = books.export("ndjson").read_bytes().splitlines()
    assert found == [msgspec.json.decode(line) for line in lines]


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    at = row["at"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return row | {"at": at, "day": row["day"].isoformat()}


def test_rows_are_the_postings(books: Books) -> None:
    """Every posting of every event is a row, and no other; the forms say the same."""
    expected = [
        (row.position, line, *posting)
        for row in books.story.log.rows
        for line, posting in enumerate(ledger.postings(decode(row.tag, row.body)), 1)
    ]
    text = books.export("csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert expected == [
        (
            int(row["position"]),
            int(row["line"]),
            row["account"],
            int(row["minor"]),
            row["currency"],
        )
        for row in rows
    ]
    assert {(row["minor"], row["amount"]) for row in rows if row["currency"] == "KWD"} >= {
        ("-12345", "-12.345"),
        ("8", "0.008"),
    }
    json = [msgspec.json.decode(line) for line in books.export("ndjson").read_bytes().splitlines()]
    assert [{**row, "pledge": row["pledge"] or ""} for row in json] == [
        {
            **row,
            "position": int(row["position"]),
            "line": int(row["line"]),
            "minor": int(row["minor"]),
            "pledge": row["pledge"] and int(row["pledge"]),
        }
        for row in rows
    ]


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_says_who(books: Books, format_: Format) -> None:
    """No backer, creator, member of staff or reference of a provider is in any form."""
    events = [decode(row.tag, row.body) for row in books.story.log.rows]
    people = {event.backer for event in events if isinstance(event, PledgeMade)}
    people |= {event.by.partition(":")[2] for event in events} - {"collect", "test_bank"}
    people |= {state.bound.creator for state in books.story.campaigns} | {"ref_"}
    path = books.export(format_)
    data = str(pq.read_table(path).to_pylist()) if format_ == "parquet" else path.read_text()
    assert not [person for person in people if person in data]


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_log_gives_the_same_bytes(books: Books, format_: Format) -> None:
    """However often, and whatever happened after the position."""
    first = books.export(format_, at="40").read_bytes()
    assert books.export(format_, at="40").read_bytes() == first
    whole = books.export(format_).read_bytes()
    assert books.export(format_).read_bytes() == whole != first


def test_batches_change_nothing(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is read at a time is not to be seen in the entries."""
    log = AuditLog(books.log)
    campaigns = [state.campaign_id for state in books.story.campaigns]
    whole = [entry for batch in batches(log, 55) for entry in batch.entries]
    monkeypatch.setattr("app.audit.export.entries.BATCH", 7)
    small = list(batches(log, 55))
    assert [batch.position for batch in small] == [7, 14, 21, 28, 35, 42, 49, 55]
    assert [entry for batch in small for entry in batch.entries] == whole
    chosen = [entry for batch in batches(log, 55, campaigns) for entry in batch.entries]
    log.close()
    assert chosen == whole


def test_views_behind_the_log_end_the_export(books: Books) -> None:
    """Balances are of where the views stand, so transactions are, too; rows go to the log's end."""
    books.step_back(54)
    text = books.export("beancount").read_text()
    assert f"; Positions 1 to 54 of log {books.log_id}." in text
    assert "the live read models, which stood at position 54" in text
    assert "  position: 55\n" not in text
    assert "  position: 54\n" in text
    assert "\n55,1," in books.export("csv").read_text()


def test_the_past_is_replayed(books: Books) -> None:
    """With --at in the past the balances are those of views that are made anew; at the position
    where the live ones stand, those are taken.
    """
    text = books.export("hledger", at="20").read_text()
    assert "the read models as a replay of the log makes them at position 20." in text
    assert "  Liabilities:Suspense  0.000 KWD = 0.000 KWD  ; journal_accounts" in text
    assert "live read models" in books.export("hledger", at="55").read_text()
    books.views.unlink()
    assert "a replay" in books.export("hledger", at="55").read_text()


def test_a_time_will_do(books: Books) -> None:
    """What was recorded until then counts."""
    text = books.export("csv", at="2026-05-03T23:59:59Z").read_text()
    assert {line[:3] for line in text.splitlines()[1:]} == {"15,", "18,", "19,", "20,"}


def test_an_empty_past_is_written_too(books: Books) -> None:
    """Before the first event there is nothing to write, and nothing goes wrong."""
    for format_ in FORMATS:
        assert books.export(format_, at="2020-01-01").exists()


@pytest.mark.parametrize("at", [None, "40"])
def test_progress_comes_to_its_end(books: Books, at: str | None) -> None:
    """It only grows, through a replay, too, until all is done."""
    told: list[tuple[int, int]] = []
    wanted = Wanted("hledger", (), at, str(books.folder))
    export(books.log, books.views, wanted, lambda done, total: told.append((done, total)))
    total = 55 if at is None else 80
    assert told == sorted(told)
    assert {each for _, each in told} == {total}
    assert told[-1] == (total, total)


# --- Where to ------------------------------------------------------------------------------------


def test_it_goes_to_standard_output(books_in_files: Books) -> None:
    """Without --out; what was done is told on standard error."""
    done = run(books_in_files, "--format", "hledger")
    assert done.exit_code == 0
    assert done.stdout == books_in_files.export("hledger").read_text()
    assert "23 transactions of 65 postings and 57 balances, positions 1 to 55" in done.stderr


def test_parquet_goes_through_a_pipe(books_in_files: Books) -> None:
    """Though it is not written from its beginning to its end."""
    done = run(books_in_files, "--format", "parquet")
    assert done.stdout_bytes == books_in_files.export("parquet").read_bytes()


def test_a_file_is_not_written_over(books_in_files: Books, tmp_path: Path) -> None:
    """But with --force; a directory gets a file of the usual name."""
    out = tmp_path / "out"
    out.mkdir()
    for format_, name in NAMES.items():
        asked = ("--format", format_, "--out", str(out))
        assert run(books_in_files, *asked).exit_code == 0
        (out / name).write_text("mine")
        refused = run(books_in_files, *asked)
        assert (refused.exit_code, (out / name).read_text()) == (2, "mine")
        assert "--force" in refused.stderr
        assert run(books_in_files, *asked, "--force").exit_code == 0
        assert (out / name).read_bytes() == books_in_files.export(format_).read_bytes()
    assert {each.name for each in out.iterdir()} == set(NAMES.values())


def test_json_tells_of_the_file(books_in_files: Books, tmp_path: Path) -> None:
    """One object on standard output, which must not be where the books go."""
    place = tmp_path / "a.beancount"
    done = run(books_in_files, "--format", "beancount", "--out", str(place), json=True)
    assert msgspec.json.decode(done.stdout) == {
        "format": "beancount",
        "file": str(place),
        "position": 55,
        "transactions": 23,
        "postings": 65,
        "balances": 57,
        "replayed": False,
    }
    assert run(books_in_files, "--format", "csv", json=True).exit_code == 2


def test_what_fails_leaves_nothing(books_in_files: Books, tmp_path: Path) -> None:
    """A hole in the log, found half-way: an older file stays, and no other is made."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "postings.csv").write_text("mine")
    books_in_files.delete(50)
    asked = ("--format", "csv", "--out", str(out), "--force")
    failed = run(books_in_files, *asked)
    assert failed.exit_code == 2
    assert "the log goes on at 51, not at 50" in failed.stderr
    assert list(out.iterdir()) == [out / "postings.csv"]
    assert (out / "postings.csv").read_text() == "mine"
    campaign = books_in_files.story.campaigns[1].campaign_id
    failed = run(books_in_files, *asked, "--campaign", campaign)
    assert (failed.exit_code, "has no version" in failed.stderr) == (2, True)
    failed = run(books_in_files, "--format", "csv", "--out", str(out / "none" / "a.csv"), "--at=9")
    assert (failed.exit_code, "cannot be written" in failed.stderr) == (2, True)


def test_what_cannot_be_answered_is_said(books_in_files: Books) -> None:
    """No views, views beyond the log, views of another version, an unknown event or campaign."""
    books = books_in_files
    asked = ("--format", "beancount")
    assert "no campaign 'f000'" in run(books, *asked, "--campaign", "f000").stderr
    assert run(books, *asked, "--at", "56").exit_code == 2
    books.delete(55)
    assert "the log ends at 54" in run(books, *asked).stderr
    books.tamper_with_views("UPDATE checkpoints SET version = 99")
    assert "another version" in run(books, *asked).stderr
    assert run(books, *asked, "--at", "54").exit_code == 0, "made anew"
    books.views.unlink()
    assert "There is no" in run(books, *asked).stderr
    books.set_body(54, b'{"type":"nonsense.v1"}')
    assert "position 54" in run(books, *asked, "--at", "54").stderr


def test_nothing_is_slipped_in(books_in_files: Books) -> None:
    """What stands in the log or the views in the place of an id, a name or a currency must be one:
    else it could be a line of the books.
    """
    books, rows = books_in_files, books_in_files.story.log.rows
    asked = ("--format", "beancount", "--at", "55")
    for statement, was in (
        ("UPDATE campaigns SET currency = 'X~0'", "There is no currency"),
        (
            "UPDATE journal_accounts SET currency = 'X~0' WHERE balance_minor = 2473",
            "There is no currency",
        ),
        ("UPDATE journal_accounts SET name = name || char(10)", "is no word, id or code"),
        ("UPDATE journal_entries SET at = 1 << 60", "is in no calendar"),
    ):
        untouched = books.views.read_bytes()
        books.tamper_with_views(statement)
        refused = run(books, *asked)
        assert (refused.exit_code, was in refused.stderr) == (2, True), statement
        books.views.resolve().write_bytes(untouched)
    for row in rows:
        if row.tag == "pledge.refunded.v1":
            field = row.body.partition(b'"refund_id":"')[2][:36]
            books.set_body(row.position, row.body.replace(field, b"a b ; c"))
    refused = run(books, "--format", "csv")
    assert (refused.exit_code, "position 27: an id" in refused.stderr) == (2, True)


def test_help_comes_without_the_views() -> None:
    """To say what can be typed, no database and no Parquet library is loaded."""
    script = (
        "import sys, app.audit.export.command\n"
        "assert not {'sqlalchemy', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# --- How it is written ---------------------------------------------------------------------------


@given(st.uuids(), st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True))
def test_account_names_go_there_and_back(campaign: object, provider: str) -> None:
    """Every account has a name that both tools take, and no two have the same."""
    for account in (
        ledger.held(str(campaign)),
        ledger.receivable(str(campaign)),
        ledger.clearing(provider),
        ledger.SUSPENSE,
    ):
        name = tool_name(account)
        assert all(part[0].isupper() and "_" not in part for part in name.split(":"))
        assert book_name(name) == account


@pytest.mark.parametrize("account", ["Assets:", "Assets:P-x", "Assets:é", "Assets:A b", ""])
def test_other_names_are_refused(account: str) -> None:
    """What the books never make is not written down under a name that looks like another's."""
    with pytest.raises(CannotAudit, match="no word, id or code"):
        tool_name(account)


@given(st.integers(-(10**15), 10**15), st.sampled_from(sorted(EXPONENTS)))
def test_amounts_are_exact(amount_minor: int, currency: str) -> None:
    """Every digit of the integer, with the point where the currency has it."""
    text = decimal_text(amount_minor, currency)
    assert int(text.replace(".", "")) == amount_minor
    assert len(text.partition(".")[2]) == EXPONENTS[currency]
