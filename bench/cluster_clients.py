"""Clients that do what every client of Tributary should: repeat a pledge under its id until it is
known what became of it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import httpx
import msgspec

from bench.crash_clients import Intent, Shelf
from bench.crash_stage import Stage, new_id

TIMEOUT_S: Final = 15.0
"""How long a client waits for an answer, before it asks again."""
PAUSE_S: Final = 0.2
"""How long it waits before it asks again."""
BATCH_LINES: Final = (10, 60)
IN_BATCHES: Final = 0.5
CLAIMING: Final = 0.2
"""How many of the pledges to a campaign with rewards choose one."""
BELIEVED: Final = 0.2
"""How often a client takes "nothing was done" at its word and goes away: then nothing may be
there."""

NOTHING_DONE: Final = frozenset({"not_recorded", "engine_busy"})
"""Reasons that promise that this request has left nothing in the log."""

_encoder = msgspec.json.Encoder()


class Client(threading.Thread):
    """One client. Stop it with `stop`: it sends nothing new then, and asks on until it knows all.

    `intents` is everything that it ever sent, `answers` how often it heard what, and `made_at` when
    (monotonic, in seconds) an answer came that said "recorded".
    """

    def __init__(self, stage: Stage, shelves: dict[str, Shelf], seed: int) -> None:
        super().__init__(name=f"client {seed}", daemon=True)
        self.intents: list[Intent] = []
        self.answers: Counter[str] = Counter()
        self.unknown = 0
        self.made_at: list[tuple[float, float]] = []
        self._stage = stage
        self._shelves = shelves
        self._chance = random.Random(seed)
        self._open: list[Intent] = []
        self._stopping = threading.Event()
        self._ends_at = float("inf")

    def stop(self, within_s: float) -> None:
        """Let it end once it knows what became of every pledge, or after so many seconds."""
        self._ends_at = time.monotonic() + within_s
        self._stopping.set()

    def run(self) -> None:
        """Pledge until stopped."""
        with httpx.Client(
            base_url=self._stage.url,
            headers=self._stage.headers,
            timeout=TIMEOUT_S,
            trust_env=False,
        ) as http:
            while not self._ended():
                if not self._open and not self._stopping.is_set():
                    self._begin()
                if not self._send(http, self._open):
                    time.sleep(PAUSE_S)

    def _ended(self) -> bool:
        known = self._stopping.is_set() and not self._open
        return known or time.monotonic() > self._ends_at

    # --- What to send ----------------------------------------------------------------------------

    def _begin(self) -> None:
        size = self._chance.randint(*BATCH_LINES) if self._chance.random() < IN_BATCHES else 1
        self._open = [self._fresh() for _ in range(size)]
        self.intents += self._open

    def _fresh(self) -> Intent:
        campaign = self._chance.choice(self._stage.campaigns)
        backer = self._chance.choice(self._stage.backers)
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

    # --- Sending and hearing ---------------------------------------------------------------------

    def _send(self, http: httpx.Client, intents: list[Intent]) -> bool:
        """Send what is not known yet; say whether now all of it is."""
        if not intents:
            return True
        began = time.monotonic()
        for intent in intents:
            intent.sent += 1
        try:
            answers = self._ask(http, intents)
        except httpx.ConnectError:
            self.answers["no connection"] += 1
            answers = []
        except httpx.TransportError as fault:
            self.answers[type(fault).__name__] += len(intents)
            self.unknown += len(intents)
            answers = []
        for intent, (status, said) in zip(intents, answers, strict=False):
            self._hear(intent, status, said, began)
        self._open = [
            intent for intent in intents if not (intent.made or intent.refused or intent.faults)
        ]
        return not self._open

    def _ask(
        self, http: httpx.Client, intents: list[Intent]
    ) -> Iterable[tuple[int, dict[str, Any]]]:
        if len(intents) == 1:
            path = f"/api/v1/campaigns/{intents[0].campaign_id}/pledges"
            answer = http.post(path, content=_encoder.encode(intents[0].body))
            return [(answer.status_code, answer.json())]
        lines = [intent.body | {"campaign_id": intent.campaign_id} for intent in intents]
        answer = http.post("/api/v1/pledges/batch", content=_encoder.encode_lines(lines))
        if answer.status_code != 200:
            return [(answer.status_code, answer.json())] * len(intents)
        told = [msgspec.json.decode(line) for line in answer.content.splitlines()]
        if len(told) != len(intents):
            intents[0].faults.append(f"{len(intents)} lines were answered with {len(told)}")
            return []
        return [(said["status"], said) for said in told]

    def _hear(self, intent: Intent, status: int, said: dict[str, Any], began: float) -> None:
        reason = str(said.get("reason", ""))
        self.answers[f"{status} {reason}".strip()] += 1
        if status < 500:
            intent.hear(status, said)
        elif reason in NOTHING_DONE:
            # Only a first request's word is about the pledge: one before may have arrived.
            if intent.sent == 1 and self._chance.random() < BELIEVED:
                intent.refused = reason
        else:
            self.unknown += 1
        if intent.made:
            self.made_at.append((began, time.monotonic()))
        if intent.refused == "sold_out":
            self._shelves[intent.campaign_id].sold_out(intent.reward_id)
