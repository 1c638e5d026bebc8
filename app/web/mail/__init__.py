"""Mails: what was sent, and how to have no more of a kind."""
