"""A small platform: an engine on a real log, the test bank, a clock, and short ways to speak."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg
from click.testing import CliRunner, Result

from app.audit.commands import audit, log_of
from app.audit.reader import LogPlace
from app.engine import Engine, Outcome, PlatformDecider
from app.log import open_log
from app.payments.port import CollectRequest, PayOutRequest, RefundRequest, Succeeded
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.cards import Behaviour
from app.processes.keys import charge_key, payout_key, refund_key
from app.settings import Settings
from domain import commands as c
from domain.terms import DAY_MS, Choice, Reward, Submission, Terms
from projections.runner import Follower
from projections.views import Views

START = 1_750_000_000_000


def new_id() -> str:
    """A random id."""
    return str(uuid.uuid4())


class World:
    """A data directory: a log, written by an engine with the clock `now`, and the test bank."""

    def __init__(self, folder: Path, database_url: str = "") -> None:
        self.settings = Settings(
            data_dir=folder,
            host="127.0.0.1",
            port=0,
            public_url="http://127.0.0.1",
            secret=b"s" * 32,
            test_bank_secret=b"t" * 32,
            demo=False,
            database_url=database_url,
        )
        self.now = START
        self.log = open_log(database_url, self.settings.log_path)
        self.engine = Engine(self.log, None, PlatformDecider(), clock=lambda: self.now)
        self.bank = Bank(self.settings.test_bank_path, notification_secret=b"t" * 32)
        self.creator = new_id()

    def close(self) -> None:
        """Stop the engine, close the log and the bank."""
        self.engine.close()
        self.log.close()
        self.bank.close()

    # --- A campaign's life -----------------------------------------------------------------------

    def do(self, kind: type[c.Command], campaign_id: str, by: str = "", **facts: Any) -> Outcome:  # noqa: ANN401
        """Submit a command, by staff where nobody is named; refused ones raise."""
        by = by or f"staff:{new_id()}"
        head: dict[str, Any] = {"campaign_id": campaign_id, "by": by, "command_id": new_id()}
        return self.engine.submit(kind(**head, **facts))

    def launch(self, *, reward: Reward | None = None, collect_at_pledge: bool = False) -> str:
        """Submit, approve and launch a campaign for BRL 100.00 in 30 days; return its id."""
        campaign_id = new_id()
        submission = Submission(
            creator=self.creator,
            model="all_or_nothing",
            currency="BRL",
            goal_minor=10_000,
            deadline_at=self.now + 30 * DAY_MS,
            terms=Terms(collect_at="pledge" if collect_at_pledge else "success"),
            rewards=(reward,) if reward else (),
        )
        by = f"creator:{self.creator}"
        self.do(c.SubmitCampaign, campaign_id, by, channel=new_id(), submission=submission)
        self.do(c.ApproveCampaign, campaign_id)
        self.do(c.LaunchCampaign, campaign_id, by)
        return campaign_id

    def pledge(self, campaign_id: str, amount_minor: int, *rewards: str, **facts: str) -> Outcome:
        """A new backer pledges, or the one who is named."""
        backer = facts.get("backer") or new_id()
        return self.do(
            c.MakePledge,
            campaign_id,
            f"backer:{backer}",
            pledge_id=facts.get("pledge_id", new_id()),
            backer=backer,
            amount_minor=amount_minor,
            currency="BRL",
            choices=tuple(Choice(reward_id) for reward_id in rewards),
            payment_method=new_id(),
        )

    def pledge_many(self, campaign_id: str, count: int) -> None:
        """As many pledges of BRL 1.00, by as many backers."""
        backers = [new_id() for _ in range(count)]
        outcomes = self.engine.submit_many(
            [
                c.MakePledge(
                    campaign_id=campaign_id,
                    by=f"backer:{backer}",
                    command_id=new_id(),
                    pledge_id=new_id(),
                    backer=backer,
                    amount_minor=100,
                    currency="BRL",
                )
                for backer in backers
            ]
        )
        assert all(isinstance(outcome, Outcome) for outcome in outcomes)

    def succeed(self, *amounts: int) -> str:
        """A campaign with these pledges, closed with success, each charged; return its id."""
        campaign_id = self.launch()
        for amount_minor in amounts:
            self.pledge(campaign_id, amount_minor)
        self.now += 31 * DAY_MS
        self.do(c.CloseCampaign, campaign_id)
        for no, amount_minor in enumerate(amounts, 1):
            self.collect(campaign_id, no, amount_minor)
        return campaign_id

    # --- Money -----------------------------------------------------------------------------------

    def charge(
        self, campaign_id: str, no: int, amount_minor: int, behaviour: Behaviour = "success"
    ) -> Succeeded:
        """Record that the bank is asked for a pledge's money, and ask it."""
        self.do(c.RequestCollection, campaign_id, no=no, attempt=1)
        return self.charge_at_bank(campaign_id, no, amount_minor, behaviour)

    def charge_at_bank(
        self, campaign_id: str, no: int, amount_minor: int, behaviour: Behaviour = "success"
    ) -> Succeeded:
        """Ask the bank for a pledge's money, whatever our books say."""
        request = CollectRequest(
            key=charge_key(self.log.log_id, campaign_id, no, 1),
            method_id=self.bank.prepare_method_direct(behaviour, at=self.now),
            amount_minor=amount_minor,
            currency="BRL",
            at=self.now,
        )
        (outcome,) = self.bank.collect_many([request])
        assert isinstance(outcome, Succeeded)
        return outcome

    def collect(
        self, campaign_id: str, no: int, amount_minor: int, behaviour: Behaviour = "success"
    ) -> None:
        """Charge a pledge and record that it went well."""
        charged = self.charge(campaign_id, no, amount_minor, behaviour)
        self.do(
            c.RecordCollected,
            campaign_id,
            "provider:test_bank",
            no=no,
            attempt=1,
            amount_minor=amount_minor,
            provider="test_bank",
            reference=charged.reference,
            provider_fee_minor=charged.fee_minor,
        )

    def refund(
        self, campaign_id: str, no: int, amount_minor: int, *, recorded: bool = True
    ) -> None:
        """Give a part of a charged pledge back; without `recorded` the answer is lost."""
        refund_id = new_id()
        self.do(
            c.RequestRefund,
            campaign_id,
            no=no,
            refund_id=refund_id,
            amount_minor=amount_minor,
            cause="goodwill",
        )
        request = RefundRequest(
            key=refund_key(self.log.log_id, campaign_id, no, refund_id),
            collect_key=charge_key(self.log.log_id, campaign_id, no, 1),
            amount_minor=amount_minor,
            currency="BRL",
            at=self.now,
        )
        (outcome,) = self.bank.refund_many([request])
        assert isinstance(outcome, Succeeded)
        if not recorded:
            return
        self.do(
            c.RecordRefunded,
            campaign_id,
            "provider:test_bank",
            no=no,
            refund_id=refund_id,
            amount_minor=amount_minor,
            provider="test_bank",
            reference=outcome.reference,
        )

    def pay_out(
        self, campaign_id: str, account: str = "an account", *, recorded: bool = True
    ) -> str:
        """Pay everything that is held to the creator, after the terms' delay; return the payout's
        id. Without `recorded` the answer is lost.
        """
        self.now += 15 * DAY_MS
        payout_id = new_id()
        self.do(c.VerifyPayoutAccount, campaign_id, account_id=new_id())
        self.do(c.RequestPayout, campaign_id, f"creator:{self.creator}", payout_id=payout_id)
        approved = self.do(
            c.ApprovePayout, campaign_id, f"treasurer:{new_id()}", payout_id=payout_id
        )
        amount_minor = msgspec.to_builtins(approved.events[0])["amount_minor"]
        request = PayOutRequest(
            key=payout_key(self.log.log_id, campaign_id, payout_id),
            account=account,
            amount_minor=amount_minor,
            currency="BRL",
            at=self.now,
        )
        (outcome,) = self.bank.pay_out_many([request])
        assert isinstance(outcome, Succeeded)
        if not recorded:
            return payout_id
        self.do(
            c.RecordPayoutSent,
            campaign_id,
            "provider:test_bank",
            payout_id=payout_id,
            amount_minor=amount_minor,
            provider="test_bank",
            reference=outcome.reference,
        )
        return payout_id

    def project(self, batch: int = 7) -> None:
        """Bring the views up to the log's end, a few events at a time."""
        views = Views(self.settings.views_path)
        follower = Follower(self.log.read, views, log_id=self.log.log_id)
        while follower.step(batch):
            pass
        views.current().close_sync()

    @property
    def log_place(self) -> LogPlace:
        """Where the log is."""
        return log_of(self.settings)

    # --- The audit -------------------------------------------------------------------------------

    def audit(self, *arguments: str, json: bool = False) -> Result:
        """Run `tributary audit …` on the directory."""
        options = SimpleNamespace(settings=self.settings, json=json)
        return CliRunner().invoke(audit, list(arguments), obj=options)

    def audit_json(self, *arguments: str) -> dict[str, Any]:
        """Run it with `--json` and read the last line of standard output."""
        result = self.audit(*arguments, json=True)
        assert result.stdout.count("\n") == 1
        return msgspec.json.decode(result.stdout, type=dict[str, Any])

    # --- Somebody else's hand --------------------------------------------------------------------

    def tamper(self, statement: str, *values: object) -> None:
        """Change the log past every guard."""
        if self.settings.database_url:
            with psycopg.connect(self.settings.database_url) as database:
                database.execute("SET search_path = log")
                database.execute("ALTER TABLE events DISABLE TRIGGER events_are_final")
                translated = statement.replace("%", "%%").replace("?", "%s").encode()
                changed = database.execute(translated, values).rowcount
        else:
            with closing(sqlite3.connect(self.settings.log_path)) as file, file:
                file.execute("DROP TRIGGER IF EXISTS events_are_final")
                file.execute("DROP TRIGGER IF EXISTS events_stay")
                changed = file.execute(statement, values).rowcount
        assert changed > 0

    def body(self, position: int) -> bytes:
        """What is stored there."""
        (row,) = self.log.read(position - 1, 1)
        return row.body

    def set_body(self, position: int, body: bytes) -> None:
        """Store something else there."""
        self.tamper("UPDATE events SET body = ? WHERE position = ?", body, position)

    def rewrite(self, position: int, was: str, now: str) -> None:
        """Change what a stored body says."""
        body = self.body(position)
        assert was.encode() in body
        self.set_body(position, body.replace(was.encode(), now.encode()))

    def set_time(self, position: int, at: int) -> None:
        """Change when an event was recorded, in its body and in its column."""
        (row,) = self.log.read(position - 1, 1)
        self.rewrite(position, f'"at":{row.at}', f'"at":{at}')
        self.tamper("UPDATE events SET at = ? WHERE position = ?", at, position)

    def tamper_with_bank(self, *statements: str) -> None:
        """Change the bank's file past every guard."""
        _change(self.settings.test_bank_path, *statements)

    def tamper_with_views(self, *statements: str) -> None:
        """Change the live views."""
        _change(self.settings.views_path, *statements)

    def position(self, tag: str, nth: int = 1) -> int:
        """Where the nth event with this tag stands in the log."""
        found = [row.position for row in self.log.read(0, 10_000) if row.tag == tag]
        return found[nth - 1]


def _change(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0
    connection.close()
