"""A small platform: an engine on a real log, a clock, and short ways to say what happens."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from click.testing import CliRunner, Result

from app.audit.commands import audit
from app.engine import CampaignDecider, Engine, Outcome
from app.log import SQLiteLog
from app.settings import Settings
from domain import commands as c
from domain.terms import DAY_MS, Choice, Reward, Submission, Terms

START = 1_750_000_000_000
PROVIDER = "test_bank"


def new_id() -> str:
    """A random id."""
    return str(uuid.uuid4())


class World:
    """A data directory with a log, written by an engine with the clock `now`."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            data_dir=folder,
            host="127.0.0.1",
            port=0,
            public_url="http://127.0.0.1",
            secret=b"s" * 32,
            test_bank_secret=b"t" * 32,
            demo=False,
        )
        self.now = START
        self.log = SQLiteLog(self.settings.log_path)
        self.engine = Engine(self.log, None, CampaignDecider(), clock=lambda: self.now)
        self.creator = new_id()

    def close(self) -> None:
        """Stop the engine and close the log."""
        self.engine.close()
        self.log.close()

    def do(self, kind: type[c.Command], campaign_id: str, by: str = "", **facts: object) -> Outcome:
        """Submit a command, by staff where nobody is named; refused ones raise."""
        by = by or f"staff:{new_id()}"
        head = {"campaign_id": campaign_id, "by": by, "command_id": new_id()}
        return self.engine.submit(kind(**head, **facts))

    def launch(
        self, *, goal_minor: int = 10_000, reward: Reward | None = None, terms: Terms | None = None
    ) -> str:
        """Submit, approve and launch a campaign of 30 days in BRL; return its id."""
        campaign_id = new_id()
        submission = Submission(
            creator=self.creator,
            model="all_or_nothing",
            currency="BRL",
            goal_minor=goal_minor,
            deadline_at=self.now + 30 * DAY_MS,
            terms=terms or Terms(),
            rewards=(reward,) if reward else (),
        )
        by = f"creator:{self.creator}"
        self.do(c.SubmitCampaign, campaign_id, by, channel=new_id(), submission=submission)
        self.do(c.ApproveCampaign, campaign_id)
        self.do(c.LaunchCampaign, campaign_id, by)
        return campaign_id

    def pledge(self, campaign_id: str, amount_minor: int, *rewards: str) -> Outcome:
        """A new backer pledges."""
        backer = new_id()
        return self.do(
            c.MakePledge,
            campaign_id,
            f"backer:{backer}",
            pledge_id=new_id(),
            backer=backer,
            amount_minor=amount_minor,
            currency="BRL",
            choices=tuple(Choice(reward_id) for reward_id in rewards),
            payment_method=new_id(),
        )

    def collect(self, campaign_id: str, no: int, amount_minor: int, fee_minor: int = 0) -> None:
        """Ask for a pledge's money and hear that it came."""
        self.do(c.RequestCollection, campaign_id, no=no, attempt=1)
        self.do(
            c.RecordCollected,
            campaign_id,
            f"provider:{PROVIDER}",
            no=no,
            attempt=1,
            amount_minor=amount_minor,
            provider=PROVIDER,
            reference=f"{campaign_id[:8]}-{no}",
            provider_fee_minor=fee_minor,
        )

    def pay_out(self, campaign_id: str, amount_minor: int) -> str:
        """Verify an account, request, approve and send everything; return the payout's id."""
        payout_id = new_id()
        self.do(c.VerifyPayoutAccount, campaign_id, account_id=new_id())
        self.do(c.RequestPayout, campaign_id, f"creator:{self.creator}", payout_id=payout_id)
        self.do(c.ApprovePayout, campaign_id, f"treasurer:{new_id()}", payout_id=payout_id)
        self.do(
            c.RecordPayoutSent,
            campaign_id,
            f"provider:{PROVIDER}",
            payout_id=payout_id,
            amount_minor=amount_minor,
            provider=PROVIDER,
            reference="payout-1",
        )
        return payout_id

    def audit(self, *arguments: str, json: bool = False) -> Result:
        """Run `tributary audit …` on the directory."""
        options = SimpleNamespace(settings=self.settings, json=json)
        return CliRunner().invoke(audit, list(arguments), obj=options)

    def audit_json(self, *arguments: str) -> dict[str, object]:
        """Run it with `--json` and read the last line of standard output."""
        result = self.audit(*arguments, json=True)
        last = result.stdout.splitlines()[-1]
        return msgspec.json.decode(last, type=dict[str, object])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An empty data directory with an engine."""
    made = World(tmp_path)
    yield made
    made.close()
