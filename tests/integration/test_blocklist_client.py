"""The senders' library against a broker: the first read, live changes, outages, and a topic that is made anew."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from postloop.client import AsyncBlocklist, Blocklist, NotReady, Stale
from postloop.settings import Settings
from tests.support.brokers import Broker, delete_topics, make_topics
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.secure_broker import USER, SecureBroker
from tests.unit.client.entries import KEY, hashed, record

DOMAIN = "shop.example"
ADA, EVE = "ada@example.com", "eve@example.com"
READY_S = 30.0
PARTITIONS = 3


class StateTopic:
    """The compacted topic of one test, and the side that writes it."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker, self.name = broker, name
        self.create()

    def create(self, partitions: int = PARTITIONS) -> None:
        make_topics(
            self.broker.bootstrap, [self.name], partitions=partitions, configs={"cleanup.policy": "compact"}
        )

    def delete(self) -> None:
        delete_topics(self.broker.bootstrap, [self.name])

    def write(self, *records: tuple[bytes, bytes | None]) -> None:
        producer = KafkaProducer(bootstrap_servers=self.broker.bootstrap, acks="all", linger_ms=5)
        try:
            for future in [producer.send(self.name, value, key=key) for key, value in records]:
                future.get(timeout=30)
        finally:
            producer.close()

    def block(self, *recipients: str, scope: str = "global", **fields: Any) -> None:
        self.write(*(record(scope, name, **{"expires_at": None, **fields}) for name in recipients))

    def release(self, recipient: str, *, scope: str = "global") -> None:
        self.write((f"{scope}|{recipient}".encode(), None))


@pytest.fixture
def topic(broker: Broker, topic_prefix: str) -> StateTopic:
    return StateTopic(broker, topic_prefix + "blocklist.state")


@pytest.fixture
def follow() -> Iterator[Callable[..., Blocklist]]:
    """Return a builder of blocklists that follow a topic; they are closed with the test."""
    opened: list[Blocklist] = []

    def build(topic: StateTopic, **options: Any) -> Blocklist:
        opened.append(Blocklist(bootstrap_servers=topic.broker.bootstrap, topic=topic.name, **options))
        return opened[-1]

    yield build
    for blocklist in opened:
        blocklist.close()


Follow = Callable[..., Blocklist]


def becomes(answer: Callable[[], bool], what: str, *, timeout_s: float = 20.0) -> None:
    wait_until(answer, timeout_s=timeout_s, what=what)


def test_a_list_that_is_ready_holds_every_entry_of_every_partition(topic: StateTopic, follow: Follow) -> None:
    """One batch a partition is what the embedded broker's own word on the end of a log would leave out."""
    names = [f"user{number}@example.com" for number in range(3000)]
    topic.block(*names)
    topic.write(*((f"global|{name}".encode(), None) for name in names[::3]))
    blocklist = follow(topic)
    blocklist.wait_ready(READY_S)
    answers = blocklist.allowed_many((DOMAIN, name) for name in names)
    assert answers == [number % 3 == 0 for number in range(3000)]
    assert blocklist.stats().entries == 2000


def test_an_empty_list_is_ready_and_allows(topic: StateTopic, follow: Follow) -> None:
    blocklist = follow(topic)
    blocklist.wait_ready(READY_S)
    assert blocklist.allowed(DOMAIN, ADA)


def test_changes_arrive_while_it_runs(topic: StateTopic, follow: Follow) -> None:
    blocklist = follow(topic)
    blocklist.wait_ready(READY_S)
    topic.block(ADA, scope=DOMAIN, reason="complaint")
    becomes(lambda: not blocklist.allowed(DOMAIN, ADA), "Ada is blocked")
    assert blocklist.allowed("other.example", ADA)
    found = blocklist.entry(DOMAIN, ADA)
    assert found is not None
    assert (found.scope, found.reason, found.expires_at) == (DOMAIN, "complaint", None)
    topic.release(ADA, scope=DOMAIN)
    becomes(lambda: blocklist.allowed(DOMAIN, ADA), "Ada is released")
    assert blocklist.stats().entries == 0


def test_a_record_that_cannot_be_read_is_counted_and_leaves_the_former_state(
    topic: StateTopic, follow: Follow
) -> None:
    topic.block(ADA)
    topic.write((f"global|{ADA}".encode(), b"{torn"), (b"no separator", b"{}"))
    blocklist = follow(topic)
    blocklist.wait_ready(READY_S)
    assert not blocklist.allowed(DOMAIN, ADA)
    assert blocklist.stats().skipped == 2


def test_hashed_entries_need_the_key_and_say_so_at_once(topic: StateTopic, follow: Follow) -> None:
    topic.block(hashed(ADA), recipient_form="hmac-sha256")
    begun_s = time.monotonic()
    with pytest.raises(NotReady, match="hash_key"):
        follow(topic).wait_ready(READY_S)
    assert time.monotonic() - begun_s < READY_S / 2
    blocklist = follow(topic, hash_key=KEY)
    blocklist.wait_ready(READY_S)
    assert blocklist.allowed_many([(DOMAIN, ADA), (DOMAIN, EVE)]) == [False, True]


async def test_asyncio_waits_without_blocking_and_answers_the_same(
    broker: Broker, topic: StateTopic, topic_prefix: str
) -> None:
    topic.block(ADA)
    settings = Settings(kafka_brokers=broker.bootstrap, topic_prefix=topic_prefix)
    async with AsyncBlocklist.from_settings(settings) as blocklist:
        await blocklist.wait_ready(READY_S)
        assert blocklist.allowed_many([(DOMAIN, ADA), (DOMAIN, EVE)]) == [False, True]
    with pytest.raises(NotReady, match="closed"):
        blocklist.allowed(DOMAIN, EVE)


def test_a_broker_that_is_away_is_waited_for_and_leaves_no_threads_behind(follow: Follow) -> None:
    before = threading.active_count()
    with Blocklist(bootstrap_servers=f"127.0.0.1:{free_port()}") as blocklist:
        with pytest.raises(NotReady, match="nothing listens there"):
            blocklist.wait_ready(8)
        assert threading.active_count() <= before + 3
    becomes(lambda: threading.active_count() <= before, "all threads end")


def test_a_topic_that_does_not_exist_is_named_and_not_created(broker: Broker, topic_prefix: str) -> None:
    name = topic_prefix + "blocklist.state"
    with Blocklist(bootstrap_servers=broker.bootstrap, topic=name) as blocklist:
        with pytest.raises(NotReady, match=f"topic {name} does not exist"):
            blocklist.wait_ready(8)
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        assert name not in admin.list_topics()
        admin.close()
        StateTopic(broker, name).block(ADA)
        blocklist.wait_ready(READY_S)
        assert not blocklist.allowed(DOMAIN, ADA)


def test_a_broker_that_is_silent_makes_the_list_stale_and_then_fresh_again(
    own_broker: Broker, follow: Follow
) -> None:
    topic = StateTopic(own_broker, "blocklist.state")
    topic.block(ADA)
    blocklist = follow(topic, max_staleness_s=3.0)
    blocklist.wait_ready(READY_S)
    time.sleep(4)
    assert not blocklist.allowed(DOMAIN, ADA), "a topic without news does not age"
    own_broker.pause()
    try:
        becomes(lambda: is_stale(blocklist), "the list is stale")
    finally:
        own_broker.resume()
    becomes(lambda: not is_stale(blocklist), "the list is fresh again")
    assert not blocklist.allowed(DOMAIN, ADA)


def is_stale(blocklist: Blocklist) -> bool:
    try:
        blocklist.allowed(DOMAIN, ADA)
    except Stale:
        return True
    return False


def test_a_topic_that_was_made_anew_is_read_from_the_beginning(topic: StateTopic, follow: Follow) -> None:
    """It holds more records than the former one: no offset tells that it is another."""
    topic.block(ADA)
    blocklist = follow(topic)
    blocklist.wait_ready(READY_S)
    topic.delete()
    topic.create()
    topic.block(*(f"user{number}@example.com" for number in range(100)), EVE)
    assert not blocklist.allowed(DOMAIN, ADA), "the former list answers meanwhile"
    # Until the topic's id is looked at, new records are taken for changes of the former list.
    becomes(lambda: blocklist.allowed(DOMAIN, ADA), "the new list answers", timeout_s=60)
    assert not blocklist.allowed(DOMAIN, EVE)
    assert blocklist.stats().entries == 101


def test_a_broker_that_comes_back_empty_releases_nobody_until_the_list_is_filled_again(
    own_broker: Broker, follow: Follow
) -> None:
    if own_broker.keeps_data:
        pytest.skip("this broker comes back with its data")
    topic = StateTopic(own_broker, "blocklist.state")
    topic.block(ADA, "bob@example.com")
    blocklist = follow(topic)
    blocklist.wait_ready(READY_S)
    own_broker.restart()
    time.sleep(2)
    assert not blocklist.allowed(DOMAIN, ADA)
    topic.create()
    time.sleep(8)
    assert not blocklist.allowed(DOMAIN, ADA), "an empty topic proves nothing"
    topic.block(ADA, EVE)
    becomes(lambda: not blocklist.allowed(DOMAIN, EVE), "the new list answers", timeout_s=60)
    assert blocklist.allowed_many([(DOMAIN, ADA), (DOMAIN, "bob@example.com")]) == [False, True]


def test_a_broker_that_comes_back_with_its_data_is_read_on(own_broker: Broker, follow: Follow) -> None:
    if not own_broker.keeps_data:
        pytest.skip("this broker comes back empty")
    topic = StateTopic(own_broker, "blocklist.state")
    topic.block(ADA)
    blocklist = follow(topic)
    blocklist.wait_ready(READY_S)
    own_broker.restart()
    topic.block(EVE)
    becomes(lambda: not blocklist.allowed(DOMAIN, EVE), "Eve is blocked", timeout_s=60)
    assert not blocklist.allowed(DOMAIN, ADA)


def test_more_partitions_are_noticed(topic: StateTopic, follow: Follow) -> None:
    topic.block(ADA)
    blocklist = follow(topic)
    blocklist.wait_ready(READY_S)
    admin = KafkaAdminClient(bootstrap_servers=topic.broker.bootstrap)
    try:
        admin.create_partitions({topic.name: PARTITIONS + 1})
    except Exception:
        pytest.skip("this broker cannot add partitions")
    finally:
        admin.close()
    producer = KafkaProducer(bootstrap_servers=topic.broker.bootstrap)
    key, value = record("global", EVE, expires_at=None)
    producer.send(topic.name, value, key=key, partition=PARTITIONS).get(timeout=30)
    producer.close()
    becomes(lambda: not blocklist.allowed(DOMAIN, EVE), "Eve is blocked", timeout_s=60)
    assert not blocklist.allowed(DOMAIN, ADA)


class GuardedBroker(SecureBroker):
    """Apache Kafka that lets a user who logged in do only what an ACL allows."""

    def _settings(self) -> dict[str, str]:
        authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        return {**super()._settings(), "authorizer.class.name": authorizer, "super.users": "User:ANONYMOUS"}


@pytest.mark.kafka
def test_read_on_the_topic_is_the_only_right_it_needs(tmp_path: Path) -> None:
    with GuardedBroker(Authority(tmp_path)) as guarded:
        topic = StateTopic(guarded, "blocklist.state")
        topic.block(ADA)
        settings = Settings(**guarded.login())
        with Blocklist.from_settings(settings) as blocklist:
            with pytest.raises(NotReady, match=r"no right to read blocklist\.state"):
                blocklist.wait_ready(8)
            allow_reading(topic)
            blocklist.wait_ready(READY_S)
            assert not blocklist.allowed(DOMAIN, ADA)


def allow_reading(topic: StateTopic) -> None:
    resource = ResourcePattern(ResourceType.TOPIC, topic.name)
    acl = ACL(f"User:{USER}", "*", ACLOperation.READ, ACLPermissionType.ALLOW, resource)
    admin = KafkaAdminClient(bootstrap_servers=topic.broker.bootstrap)
    try:
        admin.create_acls([acl])
    finally:
        admin.close()
