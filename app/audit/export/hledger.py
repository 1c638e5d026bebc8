"""The books for hledger.

Source: https://hledger.org/1.25/hledger.html

Balances are assertions on postings of nothing: `=` of an account, `=*` with those under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from app.audit.export.contents import Contents
from app.audit.export.entries import Entry
from app.audit.export.text import by_account, preface, views_in
from app.audit.export.view_books import ViewBooks
from app.audit.export.wording import day_text, decimal_text, digits_of, time_text, tool_name

BALANCES: Final = "balances in the read models"
TAGS: Final = ("at", "campaign", "pledge", "id")


def write(contents: Contents, to: BinaryIO) -> None:
    """Write it all."""
    views, last_at = views_in(contents), 0
    payees = {BALANCES}
    to.write("".join(_opening(contents, views)).encode())
    for batch in contents.batches:
        to.write("".join(_transactions(batch.entries, payees)).encode())
        if batch.entries:
            last_at = batch.entries[-1].at
    to.write("".join(_balances(views, day_text(last_at))).encode())


def _opening(contents: Contents, views: ViewBooks) -> Iterator[str]:
    for line in preface(contents):
        yield f"; {line}\n"
    yield "\ndecimal-mark .\n"
    for currency in views.currencies:
        yield f"commodity 1000.{'0' * digits_of(currency)} {currency}\n"
    yield "\n"
    for tag in TAGS:
        yield f"tag {tag}\n"
    yield f"payee {BALANCES}\n\n"
    for account in views.accounts:
        yield f"account {tool_name(account.name)}\n"


def _transactions(entries: Iterable[Entry], payees: set[str]) -> Iterator[str]:
    for entry in entries:
        if entry.tag not in payees:
            payees.add(entry.tag)
            yield f"\npayee {entry.tag}\n"
        yield _transaction(entry)


def _transaction(entry: Entry) -> str:
    pledge = f", pledge:{entry.no}" if entry.no else ""
    own_id = f", id:{entry.id}" if entry.id else ""
    lines = "".join(
        f"  {tool_name(account)}  {decimal_text(amount_minor, currency)} {currency}\n"
        for account, amount_minor, currency in entry.lines
    )
    return (
        f"\n{day_text(entry.at)} * ({entry.position}) {entry.tag}"
        f"  ; at:{time_text(entry.at)}, campaign:{entry.campaign}{pledge}{own_id}\n{lines}"
    )


def _balances(views: ViewBooks, day: str) -> Iterator[str]:
    for account, balances in by_account(views):
        name = tool_name(account)
        yield f"\n{day} * {BALANCES}\n"
        for _, currency, amount_minor, view, whole in balances:
            amount, sign = decimal_text(amount_minor, currency), "=*" if whole else "="
            nothing = decimal_text(0, currency)
            yield f"  {name}  {nothing} {currency} {sign} {amount} {currency}  ; {view}\n"
