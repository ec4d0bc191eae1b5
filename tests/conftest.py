"""Hypothesis profiles, and the fixtures of tests/support for every test."""

import os
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.broker_fixtures"]

# Those of the first module start a whole stack each, and two that start at a time on two cores take half a minute;
# those of the second share nothing with each other and may run on several workers.
_STACKS = "test_up.py"
_ALONE = "test_exactness.py"
# Modules that take longest as a whole come first, the longest first: else one worker runs at the end while the others
# have nothing left, three minutes of it.
_LONG = (
    _STACKS,
    _ALONE,
    "test_blocklist.py",
    "test_webhooks.py",
    "test_bounce_verdicts.py",
    "test_simulate_verify.py",
    "test_reputation.py",
    "test_reconcile.py",
    "test_failing_starts.py",
    "test_status_page.py",
    "test_tls.py",
    "test_migrations.py",
    "api/test_outages.py",
    "test_silence.py",
    "test_deadletter.py",
)
_INTEGRATION = "tests/integration/"

# No deadlines: a machine that is busy with something else is no fault of the rule under test.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Always the same examples: a red build must be red again when it is looked at.
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "long", max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("POSTLOOP_TEST_PROFILE", "default"))


def pytest_configure() -> None:
    """Turn SIGTERM into Ctrl-C, so that brokers and workers of a cancelled run are ended too.

    pytest.exit would not do: its exception is an ordinary one, which code under test may catch and live on.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long modules first."""
    order = {f"{_INTEGRATION}{module}": place for place, module in enumerate(_LONG)}
    items.sort(key=lambda item: order.get(_module(item.nodeid), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a module, with the servers that its tests share, on one worker of `pytest -n`."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = _module(nodeid)
            return nodeid if module == f"{_INTEGRATION}{_ALONE}" else module

    config.option.loadscopereorder = False
    return ByModule(config, log)


def _module(nodeid: str) -> str:
    return nodeid.partition("::")[0]
