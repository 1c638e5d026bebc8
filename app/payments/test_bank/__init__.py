"""The built-in test bank: a provider behind the port, with a hosted page and books of its own.

It stands for another firm. It shares no table with the rest of Tributary, and Tributary speaks to
it only through `app.payments.port`. No real money, no real card: see `cards` for the magic ones.
"""

from app.payments.test_bank.bank import Bank
from app.payments.test_bank.notifications import deliver_due

__all__ = ["Bank", "deliver_due"]
