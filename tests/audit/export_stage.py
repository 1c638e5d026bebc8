"""Books to export: a story in three currencies in a real log with views, and the tools."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import psycopg
import pytest

from app.audit.export.making import export
from app.audit.export.wanted import Format, Wanted
from app.audit.reader import LogPlace
from app.log import open_log
from app.log.ports import NewRow
from domain import commands as c
from domain.codec import decode
from domain.events import RefundCause
from domain.state import Campaign
from domain.terms import DAY_MS, Terms
from projections.reading import Row as StoredRow
from projections.runner import Follower
from projections.views import Views
from tests.projections.history import BANK, History, Row

START: Final = 1_777_802_400_000
"""3 May 2026, 10:00 UTC."""


class Story(History):
    """A history of which nothing is refused."""

    def __init__(self) -> None:
        super().__init__(Random(1))
        self.at = START

    def must(self, state: Campaign, kind: type[c.Command], by: str, **facts: Any) -> None:  # noqa: ANN401
        """Give a command that no rule refuses; a minute goes by."""
        self.at += 60_000
        assert self.do(state, kind, by, **facts), kind

    def campaign(
        self, currency: str, goal_minor: int, collect_at: Literal["success", "pledge"]
    ) -> Campaign:
        """A campaign for a day, with fees of 5 % and 2.9 % and no delays."""
        terms = Terms(
            collect_at=collect_at,
            platform_fee_bps=500,
            processing_fee_bps=290,
            payout_delay_days=0,
            account_wait_days=0,
            reserve_bps=0,
        )
        return self.open_campaign(
            currency=currency,
            model="all_or_nothing",
            goal_minor=goal_minor,
            terms=terms,
            deadline_at=self.at + DAY_MS,
            milestones=(),
            first_time_creator=False,
        )

    def pledge(self, state: Campaign, amount_minor: int) -> None:
        """By another backer each time."""
        backer = self.new_id()
        facts = {"pledge_id": self.new_id(), "backer": backer, "destination": "BR"}
        self.must(state, c.MakePledge, f"backer:{backer}", amount_minor=amount_minor, **facts)

    def collect(self, state: Campaign, no: int, fee_minor: int) -> None:
        """The bank charges a pledge and keeps a fee."""
        attempt = {"no": no, "attempt": 1}
        self.must(state, c.RequestCollection, "system:collect", **attempt)
        self.must(
            state,
            c.RecordCollected,
            BANK,
            **attempt,
            amount_minor=state.pledges[no - 1].amount_minor,
            provider_fee_minor=fee_minor,
            **self.reported(),
        )

    def reported(self) -> dict[str, str]:
        """By which provider, under which reference."""
        return {"provider": "test_bank", "reference": self.reference()}

    def close(self, state: Campaign) -> None:
        """The deadline passes."""
        self.at = max(self.at, state.deadline_at)
        self.must(state, c.CloseCampaign, "system:deadlines")

    def refund(
        self, state: Campaign, no: int, amount_minor: int, cause: RefundCause = "goodwill"
    ) -> None:
        """A charge or a part of it goes back."""
        refund = {"no": no, "refund_id": self.new_id(), "amount_minor": amount_minor}
        self.must(state, c.RequestRefund, self.staff, **refund, cause=cause)
        self.must(state, c.RecordRefunded, BANK, **refund, **self.reported())

    def lose(self, state: Campaign, no: int, amount_minor: int, fee_minor: int) -> None:
        """A backer's bank takes a charge back, and keeps it."""
        case = f"CASE-{self.new_id()[:4]}/1"  # a provider's own word, no id of ours
        dispute = {"no": no, "dispute_id": case, "provider": "test_bank"}
        self.must(state, c.RecordDisputeOpened, BANK, **dispute, amount_minor=amount_minor)
        lost = {"amount_minor": amount_minor, "fee_minor": fee_minor}
        self.must(state, c.RecordDisputeLost, BANK, **dispute, **lost)

    def pay_out(self, state: Campaign, **part: int) -> dict[str, Any]:
        """What may be paid goes to the creator, less what they owe; returns what the bank says."""
        if not state.account_id:
            self.must(state, c.VerifyPayoutAccount, self.staff, account_id=self.new_id())
        payout_id = self.new_id()
        self.must(state, c.RequestPayout, self.staff, payout_id=payout_id, **part)
        self.must(state, c.ApprovePayout, self.treasurer, payout_id=payout_id)
        payout = state.payouts[payout_id]
        cash_minor = payout.amount_minor - payout.debt_minor
        sent = {"payout_id": payout_id, "amount_minor": cash_minor, **self.reported()}
        self.must(state, c.RecordPayoutSent, BANK, **sent)
        return sent


def three_currencies() -> Story:
    """JPY that succeeds, is disputed after its payout, owes and is forgiven; KWD collected at the
    pledge, with money that fits nothing; CNY that fails and goes back.
    """
    story = Story()
    yen = story.campaign("JPY", 9_000, "success")
    dinar = story.campaign("KWD", 10_000, "pledge")
    yuan = story.campaign("CNY", 100_000, "pledge")
    for amount_minor in (5_000, 3_001, 2_000):
        story.pledge(yen, amount_minor)
    story.pledge(dinar, 12_345)
    story.collect(dinar, 1, 123)
    story.pledge(yuan, 10_050)
    story.collect(yuan, 1, 99)
    _stray_money(story, dinar)
    resolved = {"discrepancy_id": next(iter(dinar.discrepancies)), "resolution": "returned"}
    story.must(dinar, c.ResolveDiscrepancy, story.treasurer, **resolved)
    for state in (yen, dinar, yuan):
        story.close(state)
    story.refund(yuan, 1, 10_050, "failed")
    for no in (1, 2, 3):
        story.collect(yen, no, 40)
    story.refund(yen, 3, 700)
    story.pay_out(yen, to_no=2)
    story.lose(yen, 1, 5_000, 1_500)
    story.must(yen, c.RecordRepayment, story.staff, amount_minor=1_000, **story.reported())
    story.pay_out(yen)
    story.must(yen, c.WriteOffDebt, story.treasurer, amount_minor=yen.figures.owed_minor - 100)
    story.refund(dinar, 1, 2_345)
    sent = story.pay_out(dinar, numerator=1, denominator=2)
    story.must(dinar, c.RecordPayoutReturned, BANK, **sent | story.reported())
    _stray_money(story, dinar)
    return story


def _stray_money(story: Story, state: Campaign) -> None:
    """A charge that nobody asked for."""
    report = {"no": 1, "attempt": 9, "amount_minor": 777, "provider_fee_minor": 8}
    story.must(state, c.RecordCollected, BANK, **report, **story.reported())


class Books:
    """A log with the events of a history, and its views."""

    def __init__(self, folder: Path, database_url: str, history: History) -> None:
        self.folder = folder
        self.views = folder / "views.db"
        self.log: LogPlace = database_url or folder / "log.db"
        self.story = history
        with_log = open_log(database_url, folder / "log.db")
        self.log_id = with_log.log_id
        with with_log.turn() as turn:
            turn.append([_new_row(turn, row) for row in history.log.rows])
        self._project(with_log.read, len(history.log.rows))
        with_log.close()

    def _project(self, read: Callable[[int, int], Sequence[StoredRow]], until: int) -> None:
        views = Views(self.views)
        Follower(read, views, log_id=self.log_id).catch_up(until)
        views.current().close_sync()

    def step_back(self, position: int) -> None:
        """Let the views stand at a position, as if they had read no further."""
        self.views.unlink()
        self._project(self.story.log.read, position)

    def export(self, format_: Format, *campaigns: str, at: str | None = None) -> Path:
        """Export to a file of its own; returns it."""
        out = self.folder / "exports"
        out.mkdir(exist_ok=True)
        wanted = Wanted(format_, campaigns, at, str(out), force=True)
        return Path(export(self.log, self.views, wanted).file)

    def set_body(self, position: int, body: bytes) -> None:
        """Change an event in the log past every guard."""
        if isinstance(self.log, str):
            with psycopg.connect(self.log) as database:
                database.execute("SET search_path = log")
                database.execute("ALTER TABLE events DISABLE TRIGGER events_are_final")
                change = "UPDATE events SET body = %s WHERE position = %s"
                assert database.execute(change, (body, position)).rowcount == 1
        else:
            _change(self.log, "DROP TRIGGER IF EXISTS events_are_final")
            assert _change(
                self.log, "UPDATE events SET body = ? WHERE position = ?", body, position
            )

    def delete(self, position: int) -> None:
        """Take an event out of a log in a file."""
        assert isinstance(self.log, Path)
        _change(self.log, "DROP TRIGGER IF EXISTS events_stay")
        assert _change(self.log, "DELETE FROM events WHERE position = ?", position)

    def tamper_with_views(self, statement: str) -> None:
        """Change the views."""
        assert _change(self.views, statement)


def _change(path: Path, statement: str, *values: object) -> bool:
    """Whether any row is another now."""
    with closing(sqlite3.connect(path.resolve())) as file, file:
        return file.execute(statement, values).rowcount > 0


def _new_row(turn: Any, row: Row) -> NewRow:  # noqa: ANN401 - a turn of either log
    event = decode(row.tag, row.body)
    number = turn.stream_number(event.stream)
    return (row.position, number, event.version, event.at, row.tag, row.body)


# --- The tools -----------------------------------------------------------------------------------


def checked(path: Path) -> str:
    """What the tool for this file finds wrong with it; empty where all is well."""
    if path.suffix == ".beancount":
        command = [str(Path(sys.executable).with_name("bean-check")), "--no-cache", str(path)]
    else:
        command = [hledger(), "-f", str(path), "check", "--strict", "ordereddates", "payees"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not done.stdout + done.stderr), done
    return done.stdout + done.stderr


def hledger() -> str:
    """Find hledger; without it a test fails in CI."""
    if path := shutil.which("hledger"):
        return path
    reason = "hledger is not installed"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
