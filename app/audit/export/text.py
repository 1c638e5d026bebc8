"""What the two forms of plain-text accounting have in common."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from app.audit.export.contents import Contents
from app.audit.export.view_books import Balance, ViewBooks


def views_in(contents: Contents) -> ViewBooks:
    """The views, which plain text never goes without."""
    assert contents.views is not None, "balances are of views"
    return contents.views


def preface(contents: Contents) -> Iterator[str]:
    """What a reader should know first, in lines."""
    yield f"Positions 1 to {contents.until:,} of log {contents.log_id}."
    for campaign in contents.campaigns:
        yield f"Only what campaign {campaign} posted."
    yield "Transactions are made from the events of the log. The balances at the end are those of"
    if contents.replayed:
        yield f"the read models as a replay of the log makes them at position {contents.until:,}."
    else:
        yield f"the live read models, which stood at position {contents.until:,}."
    yield "Beside each stands the table that says so."


def by_account(views: ViewBooks) -> Iterator[tuple[str, list[Balance]]]:
    """The balances of each account."""
    for account, balances in groupby(views.balances, attrgetter("account")):
        yield account, list(balances)
