"""The channel's staff: review, the treasurer's desk, reports, health."""
