"""What all tests share."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

# Time limits fail on a busy machine, so there are none. The default run tries the same examples
# every time; HYPOTHESIS_PROFILE=search looks for new ones, ci and deep try more (docs/rules.md).
settings.register_profile(
    "same",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings.get_profile("same"), derandomize=False)
settings.register_profile("ci", settings.get_profile("same"), max_examples=300)
settings.register_profile("deep", settings.get_profile("search"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

pytest_plugins = ["tests.postgresql"]

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Find the Chromium that drives pages; without one a browser test fails in CI."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    reason = f"none of {', '.join(CHROMIUM_NAMES)} is installed"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
