"""What the other integration tests take for granted about the broker they are given."""

import os
import signal
import time
from collections.abc import Callable
from uuid import UUID

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.support.brokers import Broker, delete_topics, describe_topics, make_topics
from tests.support.ports import is_listening
from tests.support.processes import wait_until

RECORDS = [f"record {number}".encode() for number in range(200)]


def produce(broker: Broker, topic: str, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
    sent = [producer.send(topic, value=value) for value in values]
    producer.flush(timeout=30)
    producer.close()
    assert all(future.succeeded() for future in sent)


def consume(broker: Broker, topic: str, group: str, *, count: int, timeout_s: float = 30.0) -> list[bytes]:
    """Read `count` records as a member of `group`, commit, and leave it."""
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
        max_poll_records=count,
    )
    values: list[bytes] = []
    deadline_s = time.monotonic() + timeout_s
    try:
        while len(values) < count and time.monotonic() < deadline_s:
            polled = consumer.poll(timeout_ms=500, max_records=count - len(values))
            values += [record.value for records in polled.values() for record in records]
        consumer.commit()
    finally:
        consumer.close(autocommit=False)
    return values


def topic_id(broker: Broker, topic: str) -> UUID | None:
    """Return the id of this life of the topic; None when the broker does not know it."""
    (description,) = describe_topics(broker.bootstrap, [topic])
    return description.get("topic_id") if description["error_code"] == 0 else None


def test_what_is_produced_is_consumed_once_and_in_order(
    broker: Broker, new_topics: Callable[..., list[str]], topic_prefix: str
) -> None:
    (topic,) = new_topics("email.bounce")
    produce(broker, topic, RECORDS)
    assert consume(broker, topic, topic_prefix + "readers", count=len(RECORDS)) == RECORDS


def test_a_group_goes_on_behind_its_committed_offset(
    broker: Broker, new_topics: Callable[..., list[str]], topic_prefix: str
) -> None:
    (topic,) = new_topics("email.bounce")
    produce(broker, topic, RECORDS)
    first = consume(broker, topic, topic_prefix + "readers", count=50)
    rest = consume(broker, topic, topic_prefix + "readers", count=len(RECORDS) - 50)
    assert first + rest == RECORDS


def test_topics_get_the_partitions_that_were_asked_for(
    broker: Broker, new_topics: Callable[..., list[str]]
) -> None:
    for name in new_topics("email.send", "email.open", partitions=3):
        (description,) = describe_topics(broker.bootstrap, [name])
        assert sorted(part["partition_index"] for part in description["partitions"]) == [0, 1, 2]


def test_a_restart_keeps_topics_on_apache_kafka_and_forgets_them_on_the_embedded_broker(
    own_broker: Broker, topic_prefix: str
) -> None:
    topic = topic_prefix + "email.bounce"
    make_topics(own_broker.bootstrap, [topic])
    before = topic_id(own_broker, topic)
    own_broker.restart()
    assert before is not None
    assert topic_id(own_broker, topic) == (before if own_broker.keeps_data else None)


def test_a_topic_made_anew_under_the_same_name_has_another_id(own_broker: Broker, topic_prefix: str) -> None:
    topic = topic_prefix + "email.bounce"
    make_topics(own_broker.bootstrap, [topic])
    before = topic_id(own_broker, topic)
    if own_broker.keeps_data:
        delete_topics(own_broker.bootstrap, [topic])
    else:
        own_broker.restart()
    make_topics(own_broker.bootstrap, [topic])
    assert topic_id(own_broker, topic) not in (None, before)


@pytest.mark.kafka
def test_acknowledged_records_and_commits_survive_a_kill(own_broker: Broker, topic_prefix: str) -> None:
    topic, group = topic_prefix + "email.bounce", topic_prefix + "readers"
    make_topics(own_broker.bootstrap, [topic])
    produce(own_broker, topic, RECORDS)
    first = consume(own_broker, topic, group, count=50)
    own_broker.kill()
    own_broker.start()
    assert first + consume(own_broker, topic, group, count=len(RECORDS) - 50) == RECORDS


@pytest.mark.kafka
def test_the_end_offset_is_the_next_offset(broker: Broker, new_topics: Callable[..., list[str]]) -> None:
    # The embedded broker answers the base offset of its last batch: lag is only exact here.
    (topic,) = new_topics("email.bounce")
    produce(broker, topic, RECORDS)
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap)
    partition = TopicPartition(topic, 0)
    assert consumer.end_offsets([partition]) == {partition: len(RECORDS)}
    consumer.close()


def test_a_killed_broker_is_gone_until_it_is_started_again(own_broker: Broker) -> None:
    first_pid = own_broker.pid
    own_broker.kill()
    assert not psutil.pid_exists(first_pid)
    assert not is_listening(own_broker.port)
    own_broker.start()
    assert own_broker.pid != first_pid
    assert is_listening(own_broker.port)


def test_a_paused_broker_answers_again_when_it_is_resumed(own_broker: Broker, topic_prefix: str) -> None:
    own_broker.pause()
    wait_until(
        lambda: psutil.Process(own_broker.pid).status() == psutil.STATUS_STOPPED,
        timeout_s=5,
        what="the broker is stopped",
    )
    own_broker.resume()
    make_topics(own_broker.bootstrap, [topic_prefix + "email.bounce"])


def test_a_test_that_fails_leaves_neither_process_nor_files(own_broker: Broker) -> None:
    other = type(own_broker)()
    with pytest.raises(ZeroDivisionError), other:
        pid = other.pid
        raise ZeroDivisionError
    assert not psutil.pid_exists(pid)
    assert not other.directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)
