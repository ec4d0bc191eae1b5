"""Hypothesis profiles, and the fixtures of tests/support for every test."""

import os
import signal
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.broker_fixtures"]

# No deadlines: a machine that is busy with something else is no fault of the rule under test.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Always the same examples, and more of them: a red build must be red again when it is looked at.
settings.register_profile(
    "ci", max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("POSTLOOP_TEST_PROFILE", "default"))


def pytest_configure() -> None:
    """Turn SIGTERM into an ordinary exit, so that brokers and workers of a cancelled run are ended too."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(signal_number: int, frame: FrameType | None) -> None:
    pytest.exit("terminated", returncode=128 + signal_number)
