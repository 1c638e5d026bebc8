"""The engine: commands in, recorded facts out."""

from app.engine.decider import CampaignDecider, Decider, PlatformDecider
from app.engine.engine import Engine, LogWentBack, NotCommitted, TurnObserver, clock_ms
from app.engine.snapshots import SnapshotFollower
from app.engine.states import BrokenStream, load_state
from app.engine.turn import IdempotencyKeyReused, InconsistentDecision
from app.engine.waiting import EngineBusy, EngineClosed, Outcome

__all__ = [
    "BrokenStream",
    "CampaignDecider",
    "Decider",
    "Engine",
    "EngineBusy",
    "EngineClosed",
    "IdempotencyKeyReused",
    "InconsistentDecision",
    "LogWentBack",
    "NotCommitted",
    "Outcome",
    "PlatformDecider",
    "SnapshotFollower",
    "TurnObserver",
    "clock_ms",
    "load_state",
]
