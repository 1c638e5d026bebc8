"""Finding campaigns, and the pages that explain."""
