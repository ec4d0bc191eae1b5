"""Pytest fixtures that give a test a real broker, chosen by POSTLOOP_TEST_BROKER.

`embedded` (default) is the broker of `postloop up`, `kafka` is Apache Kafka. A test says nothing about the
choice; what holds on Apache Kafka only carries the mark `kafka`.
"""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.support.brokers import ApacheKafkaBroker, Broker, TansuBroker, make_topics
from tests.support.kafka_jars import MissingToolError

_BROKERS: dict[str, type[Broker]] = {"embedded": TansuBroker, "kafka": ApacheKafkaBroker}
_WRONG_USAGE = 2


def chosen_broker() -> type[Broker]:
    """Return the broker class that POSTLOOP_TEST_BROKER names; anything unknown ends the test run."""
    name = os.environ.get("POSTLOOP_TEST_BROKER", "embedded")
    if name not in _BROKERS:
        choices = ", ".join(_BROKERS)
        pytest.exit(f"POSTLOOP_TEST_BROKER is {name!r}; it can be: {choices}", returncode=_WRONG_USAGE)
    return _BROKERS[name]


def _new_broker() -> Broker:
    try:
        return chosen_broker()()
    except MissingToolError as error:
        # Not a skip: whoever asks for Apache Kafka must not read "passed" without it.
        pytest.exit(str(error), returncode=_WRONG_USAGE)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """The broker that all tests of the run share. A test that stops or kills a broker takes `own_broker`."""
    with _new_broker() as running:
        yield running


@pytest.fixture(scope="session")
def carrier(broker: Broker) -> Broker:
    """The same broker, for tests that would do the same on any: it only carries events to what is tested."""
    return broker


@pytest.fixture
def own_broker() -> Iterator[Broker]:
    """A fresh broker for one test, which may stop, kill and restart it."""
    with _new_broker() as running:
        yield running


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of topic and group names that no other test uses, ending in a dot."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def new_topics(broker: Broker, topic_prefix: str) -> Callable[..., list[str]]:
    """Return a builder: `new_topics("email.bounce", partitions=3)` creates them under this test's prefix."""

    def create(*names: str, partitions: int = 1) -> list[str]:
        full = [topic_prefix + name for name in names]
        make_topics(broker.bootstrap, full, partitions=partitions)
        return full

    return create


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Mark what uses a broker; skip what is marked `kafka` unless the run is on Apache Kafka."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if {"broker", "own_broker"} & fixtures or item.get_closest_marker("kafka"):
            item.add_marker(pytest.mark.on_broker)
        if "carrier" in fixtures:
            item.add_marker(pytest.mark.either_broker)
    if chosen_broker() is ApacheKafkaBroker:
        return
    for item in items:
        if item.get_closest_marker("kafka"):
            item.add_marker(pytest.mark.skip(reason="holds on Apache Kafka only: POSTLOOP_TEST_BROKER=kafka"))
