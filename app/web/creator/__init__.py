"""The creator's drafts and desk."""
