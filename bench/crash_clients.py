"""Clients that pledge without end, and remember what they sent and what they were told."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from bench.crash_stage import CURRENCY, Backer, LiveCampaign, Stage, new_id
from domain.terms import Reward

TIMEOUT_S: Final = 20.0
PAUSE_S: Final = 0.01
BATCH_LINES: Final = (2, 12)
IN_BATCHES: Final = 0.25
REPEATED: Final = 0.05
"""How often an acknowledged pledge is sent once more."""
RETRIED: Final = 0.3
"""How often a pledge without an answer is sent again, where there is one."""
LEFT: Final = 0.5
"""How many of the pledges without an answer are never sent again."""
CLAIMING: Final = 0.5
"""How many of the pledges to a campaign with rewards choose one."""

_encoder = msgspec.json.Encoder()


class Intent(Struct, eq=False):
    """A pledge as a client means it, and what the client knows of it.

    `made` is its (no, position) once it was acknowledged; `refused` the reason why it was not.
    Neither is set while no answer came. `faults` are answers that should not be.
    """

    campaign_id: str
    pledge_id: str
    backer_id: str
    amount_minor: int
    reward_id: str = ""
    payment_method: str = ""
    sent: int = 0
    made: tuple[int, int] | None = None
    repeated: int = 0
    refused: str = ""
    faults: list[str] = []

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        return {
            "pledge_id": self.pledge_id,
            "backer_id": self.backer_id,
            "amount": self.amount_minor,
            "currency": CURRENCY,
            "reward_id": self.reward_id,
            "payment_method": self.payment_method,
        }

    def hear(self, status: int, said: dict[str, Any]) -> None:
        """Take the answer to this pledge, of its own or of its line in a batch."""
        match status, said:
            case 200 | 201, {"no": int(no), "position": int(position)}:
                if self.made not in (None, (no, position)):
                    self.faults.append(f"answered {(no, position)} after {self.made}")
                if status == 201 and self.made:
                    self.faults.append("made twice")
                if status == 200 and self.sent == 1:
                    self.faults.append("called a repetition, but sent only once")
                self.repeated += status == 200
                self.made = self.made or (no, position)
            case 409, {"reason": "sold_out"}:
                if self.made:
                    self.faults.append("refused after it was made")
                self.refused = "sold_out"
            case 503, {"reason": "outcome_unknown"}:
                pass
            case 503, {"reason": "not_recorded" | "engine_busy" as reason} if not self.made:
                self.refused = reason
            case _:
                self.faults.append(f"answered {status} {said}")


class Shelf:
    """The limited rewards of a campaign in their order; clients claim from the same few, so that
    these sell out while the server dies.
    """

    WIDTH: Final = 3

    def __init__(self, rewards: Sequence[Reward]) -> None:
        self._left = list(rewards)

    def pick(self, chance: random.Random) -> Reward | None:
        """One of the first that are not known to be sold out; None when all are."""
        front = self._left[: self.WIDTH]
        return chance.choice(front) if front else None

    def sold_out(self, reward_id: str) -> None:
        """Take a reward off the shelf. Two clients may hear of it at the same time."""
        self._left = [reward for reward in self._left if reward.reward_id != reward_id]


class Client(threading.Thread):
    """One client: it sends, waits for the answer, and remembers; while the server is down it waits.

    Stop it with `stop`; then `intents` is everything that it ever sent.
    """

    def __init__(self, stage: Stage, shelves: dict[str, Shelf], seed: int) -> None:
        super().__init__(name=f"client {seed}", daemon=True)
        self.intents: list[Intent] = []
        self._stage = stage
        self._shelves = shelves
        self._chance = random.Random(seed)
        self._unanswered: list[Intent] = []
        self._ended = threading.Event()

    def stop(self) -> None:
        """Let it end after the request under way."""
        self._ended.set()

    def run(self) -> None:
        """Pledge until stopped."""
        with httpx.Client(
            base_url=self._stage.url, headers=self._stage.headers, timeout=TIMEOUT_S
        ) as http:
            while not self._ended.is_set():
                if self._chance.random() < IN_BATCHES:
                    size = self._chance.randint(*BATCH_LINES)
                    self._send_batch(http, [self._next() for _ in range(size)])
                else:
                    self._send_one(http, self._next())

    # --- What to send ----------------------------------------------------------------------------

    def _next(self) -> Intent:
        dice = self._chance.random()
        if dice < RETRIED and self._unanswered:
            return self._unanswered.pop(self._chance.randrange(len(self._unanswered)))
        if dice > 1 - REPEATED and self.intents:
            known = self._chance.choice(self.intents)
            if known.made:
                return known
        intent = self._fresh(
            self._chance.choice(self._stage.campaigns), self._chance.choice(self._stage.backers)
        )
        self.intents.append(intent)
        return intent

    def _fresh(self, campaign: LiveCampaign, backer: Backer) -> Intent:
        reward = None
        if campaign.rewards and self._chance.random() < CLAIMING:
            reward = self._shelves[campaign.campaign_id].pick(self._chance)
        return Intent(
            campaign_id=campaign.campaign_id,
            pledge_id=new_id(),
            backer_id=backer.id,
            amount_minor=reward.price_minor if reward else self._chance.randint(1_00, 100_00),
            reward_id=reward.reward_id if reward else "",
            payment_method=backer.method,
        )

    # --- Sending ---------------------------------------------------------------------------------

    def _send_one(self, http: httpx.Client, intent: Intent) -> None:
        intent.sent += 1
        answer = self._post(
            http, f"/api/v1/campaigns/{intent.campaign_id}/pledges", _encoder.encode(intent.body)
        )
        if answer is None:
            self._went_unanswered([intent])
        else:
            self._hear(intent, answer.status_code, answer.json())

    def _send_batch(self, http: httpx.Client, intents: list[Intent]) -> None:
        for intent in intents:
            intent.sent += 1
        lines = [intent.body | {"campaign_id": intent.campaign_id} for intent in intents]
        answer = self._post(http, "/api/v1/pledges/batch", _encoder.encode_lines(lines))
        if answer is None:
            self._went_unanswered(intents)
            return
        told = [msgspec.json.decode(line) for line in answer.content.splitlines()]
        if answer.status_code != 200 or len(told) != len(intents):
            fault = f"a batch was answered {answer.status_code} with {len(told)} lines"
            intents[0].faults.append(fault)
            return
        for intent, said in zip(intents, told, strict=True):
            self._hear(intent, said["status"], said)

    def _post(self, http: httpx.Client, path: str, content: bytes) -> httpx.Response | None:
        while not self._ended.is_set():
            try:
                return http.post(path, content=content)
            except httpx.ConnectError:  # nothing was sent: the server is down, so wait for the next
                self._ended.wait(PAUSE_S)
            except httpx.TransportError:  # killed meanwhile: what was heard is for the log to say
                return None
        return None

    def _hear(self, intent: Intent, status: int, said: dict[str, Any]) -> None:
        intent.hear(status, said)
        if intent.refused == "sold_out":
            self._shelves[intent.campaign_id].sold_out(intent.reward_id)
        elif not intent.made and not intent.faults:
            self._went_unanswered([intent])

    def _went_unanswered(self, intents: list[Intent]) -> None:
        self._unanswered += [
            intent
            for intent in intents
            if not intent.made and not intent.refused and self._chance.random() > LEFT
        ]
