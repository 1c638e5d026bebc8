"""The books for Beancount.

Source: https://beancount.github.io/docs/beancount_language_syntax.html

A balance of Beancount allows for an error of one in the last digit where it is not told otherwise,
and would let a cent go by: so every one here says that it allows for none (`~ 0`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from app.audit.export.contents import Contents
from app.audit.export.entries import Entry
from app.audit.export.text import by_account, preface, views_in
from app.audit.export.view_books import ViewBooks
from app.audit.export.wording import day_text, decimal_text, digits_of, time_text, tool_name
from domain.terms import DAY_MS


def write(contents: Contents, to: BinaryIO) -> None:
    """Write it all."""
    views, last_at = views_in(contents), 0
    to.write("".join(_opening(contents, views)).encode())
    for batch in contents.batches:
        to.write("".join(map(_transaction, batch.entries)).encode())
        if batch.entries:
            last_at = batch.entries[-1].at
    to.write("".join(_balances(views, day_text(last_at + DAY_MS))).encode())


def _opening(contents: Contents, views: ViewBooks) -> Iterator[str]:
    for line in preface(contents):
        yield f"; {line}\n"
    yield f'\noption "title" "Tributary, positions 1 to {contents.until:,}"\n'
    for currency in views.currencies:
        yield f'option "operating_currency" "{currency}"\n'
    yield "\n"
    first = day_text(min((account.opened_at for account in views.accounts), default=0))
    for currency in views.currencies:
        yield f"{first} commodity {currency}\n  precision: {digits_of(currency)}\n"
    yield "\n"
    for account in views.accounts:
        opened, name = day_text(account.opened_at), tool_name(account.name)
        yield f"{opened} open {name} {','.join(account.currencies)}\n"


def _transaction(entry: Entry) -> str:
    link = f" ^{entry.id}" if entry.id else ""
    pledge = f"  pledge: {entry.no}\n" if entry.no else ""
    lines = "".join(
        f"  {tool_name(account)} {decimal_text(amount_minor, currency)} {currency}\n"
        for account, amount_minor, currency in entry.lines
    )
    return (
        f'\n{day_text(entry.at)} * "{entry.tag}"{link}\n  position: {entry.position}\n'
        f'  at: "{time_text(entry.at)}"\n  campaign: "{entry.campaign}"\n{pledge}{lines}'
    )


def _balances(views: ViewBooks, day: str) -> Iterator[str]:
    """A balance is of the beginning of its day."""
    for account, balances in by_account(views):
        name = tool_name(account)
        yield "\n"
        for _, currency, amount_minor, view, _ in balances:
            amount = decimal_text(amount_minor, currency)
            yield f"{day} balance {name} {amount} ~ 0 {currency} ; {view}\n"
