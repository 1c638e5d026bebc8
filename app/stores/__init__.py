"""Ordinary mutable tables beside the log: people, contents, drafts, channels, keys, methods.

They all live in `people.db` and are backed up apart from the log. Nothing here is a fact of the
books: an event names a row by its random id or its salted hash, and stays true when the row goes.
"""
