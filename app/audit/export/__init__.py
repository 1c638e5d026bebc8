"""The books in forms that other programs read: `tributary audit export`.

Transactions come from the events of the log, balances from the read models. That the two agree is
for Beancount and hledger to say, which know nothing of Tributary.
"""
