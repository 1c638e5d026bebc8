"""The audit: replay the views, verify the rules and the books, explain a number, look back in time.

It opens every file for reading only and needs no server, neither running nor stopped.
"""
