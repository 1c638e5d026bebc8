"""How hard the views are tried with histories made by chance."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", settings.get_profile("same"), max_examples=300)
settings.register_profile("deep", settings.get_profile("search"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
