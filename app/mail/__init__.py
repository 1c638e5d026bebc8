"""Mails: written from templates, queued, sent, and told from the log."""
