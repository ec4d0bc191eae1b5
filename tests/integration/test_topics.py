"""`postloop topics` against a broker: idempotent, honest about what differs, clear when it cannot work."""

import json
import subprocess

import pytest

from postloop.adapters.topic_admin import create_topics, missing_topics, topic_ids
from postloop.settings import Settings
from tests.integration.servers import Postloop, command_line
from tests.support.brokers import Broker, make_topics
from tests.support.ports import free_port

__all__ = ["command_line"]


@pytest.fixture
def postloop(broker: Broker, topic_prefix: str, command_line: Postloop) -> Postloop:
    """Return a runner of the command line with this test's broker and prefix."""

    def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return command_line(
            *arguments, **{"kafka_brokers": broker.bootstrap, "topic_prefix": topic_prefix, **settings}
        )

    return run


def rows(done: "subprocess.CompletedProcess[str]") -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_topics_are_created_once_and_then_left_alone(postloop: Postloop) -> None:
    first = postloop("topics", "create", "--json")
    second = postloop("topics", "create", "--json")
    assert (first.returncode, second.returncode) == (0, 0)
    assert {row["status"] for row in rows(first)} == {"created"}
    assert {row["status"] for row in rows(second)} == {"as wanted"}
    assert [row["topic_id"] for row in rows(first)] == [row["topic_id"] for row in rows(second)]


def test_check_says_no_while_topics_are_missing_and_yes_afterwards(
    postloop: Postloop, topic_prefix: str
) -> None:
    before = postloop("topics", "check")
    assert before.returncode == 1
    assert f"missing: {topic_prefix}email.send" in before.stderr
    assert "postloop topics create" in before.stderr
    postloop("topics", "create")
    assert postloop("topics", "check").returncode == 0


def test_a_topic_with_too_few_partitions_is_reported_and_not_changed(
    postloop: Postloop, topic_prefix: str
) -> None:
    postloop("topics", "create", topic_partitions="2")
    again = postloop("topics", "create", topic_partitions="6")
    check = postloop("topics", "check", topic_partitions="6")
    assert (again.returncode, check.returncode) == (0, 1)
    assert f"topic {topic_prefix}email.send: partitions is 2, wanted 6" in check.stderr


def test_another_retention_than_wanted_is_reported(postloop: Postloop, topic_prefix: str) -> None:
    postloop("topics", "create", topic_retention="1d")
    check = postloop("topics", "check", topic_retention="2d")
    assert check.returncode == 1
    assert f"topic {topic_prefix}email.send: retention.ms is 86400000, wanted 172800000" in check.stderr


@pytest.mark.kafka
def test_fix_adds_partitions_and_sets_configs(postloop: Postloop) -> None:
    postloop("topics", "create", topic_partitions="2", topic_retention="1d")
    fixed = postloop("topics", "create", "--fix", "--json", topic_partitions="3", topic_retention="2d")
    assert {row["status"] for row in rows(fixed)} <= {"changed", "as wanted"}
    assert postloop("topics", "check", topic_partitions="3", topic_retention="2d").returncode == 0


def test_topic_ids_tell_a_topic_apart_from_the_one_before_it(broker: Broker, topic_prefix: str) -> None:
    settings = Settings(kafka_brokers=broker.bootstrap, topic_prefix=topic_prefix)
    create_topics(settings)
    names = [f"{topic_prefix}email.send", f"{topic_prefix}email.open", f"{topic_prefix}nothing"]
    ids = topic_ids(settings, names)
    assert list(ids) == names[:2]
    assert len(set(ids.values())) == 2
    assert missing_topics(settings, names) == names[2:]


def test_an_unreachable_broker_is_one_sentence_and_exit_code_3(postloop: Postloop) -> None:
    port = free_port()
    done = postloop("topics", "check", kafka_brokers=f"127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines() == [
        f"error: Kafka at 127.0.0.1:{port} cannot be reached: nothing listens there (connection refused)"
    ]


def test_a_host_that_does_not_exist_is_named(postloop: Postloop) -> None:
    done = postloop("topics", "check", kafka_brokers="broker.invalid:9092")
    assert done.returncode == 3
    assert "broker.invalid:9092 cannot be reached: the name of the host is not known" in done.stderr


def test_a_topic_that_somebody_else_made_is_reported_as_it_is(
    postloop: Postloop, broker: Broker, topic_prefix: str
) -> None:
    make_topics(broker.bootstrap, [f"{topic_prefix}email.send"], partitions=1)
    (row,) = [row for row in rows(postloop("topics", "describe", "--json")) if row["status"] == "differs"]
    assert (row["name"], row["partitions"]) == (f"{topic_prefix}email.send", 1)
