"""Process managers: they follow the log, do what it asks for outside, and record the outcome."""

from app.processes.keys import charge_key, payout_key, refund_key
from app.processes.processes import Processes
from app.processes.work import Trouble

__all__ = ["Processes", "Trouble", "charge_key", "payout_key", "refund_key"]
