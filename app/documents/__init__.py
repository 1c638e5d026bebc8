"""Documents to keep: made by us, in the reader's language, without a browser."""
