"""Hypothesis profiles, and the fixtures of tests/support for every test."""

import os
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.broker_fixtures"]

# Long tests. Those of the first module start a whole stack each, and two that start at the same time on two cores take
# half a minute; those of the second share nothing with each other and may run on several workers.
_STACKS = "tests/integration/test_up.py"
_ALONE = "tests/integration/test_exactness.py"

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
    """Put the long tests first: at the end, one worker would run while the others have nothing left."""
    items.sort(key=lambda item: [not item.nodeid.startswith(module) for module in (_STACKS, _ALONE)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a module, with the servers that its tests share, on one worker of `pytest -n`."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith(_ALONE) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False
    return ByModule(config, log)
