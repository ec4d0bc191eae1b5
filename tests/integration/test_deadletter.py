"""`postloop deadletter`: what was refused can be looked at and published again, byte for byte, once."""

import json
import subprocess
import uuid
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from postloop.adapters import topic_admin
from postloop.adapters.clickhouse import connect
from postloop.settings import Settings
from tests.integration.servers import Postloop, command_line, migrated_clickhouse
from tests.support.brokers import Broker
from tests.support.ports import free_port

COLUMNS = ["event_id", "topic", "topic_id", "partition", "offset", "index", "key_base64", "value_base64"]
COLUMNS += ["stage", "error_code", "errors", "at"]

__all__ = ["command_line", "migrated_clickhouse"]


@pytest.fixture
def settings(broker: Broker, migrated_clickhouse: str, topic_prefix: str) -> Settings:
    chosen = Settings(
        kafka_brokers=broker.bootstrap, clickhouse_url=migrated_clickhouse, topic_prefix=topic_prefix
    )
    topic_admin.create_topics(chosen)
    connect(chosen).command("TRUNCATE TABLE dead_letters")
    return chosen


@pytest.fixture
def postloop(settings: Settings, command_line: Postloop) -> Postloop:
    def run(*arguments: str, **others: str) -> "subprocess.CompletedProcess[str]":
        said = {name: getattr(settings, name) for name in ("kafka_brokers", "clickhouse_url", "topic_prefix")}
        return command_line("deadletter", *arguments, **{**said, **others})

    return run


@pytest.fixture
def refuse(settings: Settings) -> Callable[..., str]:
    """Return a builder that stores one dead letter and returns its id."""

    def build(
        value: bytes = b"{not json",
        *,
        key: bytes = b"k",
        topic: str = "email.bounce",
        code: str = "not_json",
        also: str = "",
        index: int = -1,
        partition: int = 0,
        age: timedelta = timedelta(),
    ) -> str:
        event_id = str(uuid.uuid4())
        codes = [code, also] if also else [code]
        errors = json.dumps([{"code": c, "field": "", "text": "the record is no JSON"} for c in codes])
        place = [str(uuid.uuid4()), partition, 7, index]
        content = [b64encode(key).decode(), b64encode(value).decode(), "decode", code, errors]
        row = [event_id, topic, *place, *content, datetime.now(UTC) - age]
        connect(settings).insert("dead_letters", [row], column_names=COLUMNS)
        return event_id

    return build


def records(settings: Settings, topic: str) -> list[Any]:
    """Return everything that lies on a topic."""
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_brokers, auto_offset_reset="earliest")
    name = settings.topic_prefix + topic
    partitions = [TopicPartition(name, number) for number in range(settings.topic_partitions)]
    try:
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        found: list[Any] = []
        while page := consumer.poll(timeout_ms=1500):
            found += [record for batch in page.values() for record in batch]
        return found
    finally:
        consumer.close()


def rows(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ids(done: "subprocess.CompletedProcess[str]") -> Sequence[str]:
    return [row["event_id"] for row in rows(done)]


@pytest.mark.either_broker
def test_the_list_shows_the_newest_first_and_can_be_narrowed(
    postloop: Postloop, refuse: Callable[..., str]
) -> None:
    old = refuse(age=timedelta(hours=3))
    other = refuse(topic="email.open", code="missing", age=timedelta(minutes=5))
    new = refuse()
    assert ids(postloop("list", "--json")) == [new, other, old]
    assert ids(postloop("list", "--json", "--topic", "email.bounce")) == [new, old]
    assert ids(postloop("list", "--json", "--code", "missing")) == [other]
    assert ids(postloop("list", "--json", "--since", "1h")) == [new, other]
    assert ids(postloop("list", "--json", "--limit", "1")) == [new]
    table = postloop("list")
    assert new in table.stdout
    assert "{not json" in table.stdout


@pytest.mark.either_broker
def test_one_dead_letter_is_shown_with_every_reason_and_its_bytes(
    postloop: Postloop, refuse: Callable[..., str]
) -> None:
    event_id = refuse(b"\xff[red]{", index=3)
    (shown,) = rows(postloop("show", event_id, "--json"))
    assert shown["value_base64"] == b64encode(b"\xff[red]{").decode()
    assert (shown["index"], shown["errors"][0]["text"]) == (3, "the record is no JSON")
    text = postloop("show", event_id).stdout
    assert "element 3 of the record's array" in text
    assert "\\xff[red]{" in text


@pytest.mark.either_broker
def test_a_dead_letter_that_does_not_exist_is_exit_code_1(postloop: Postloop) -> None:
    nobody = str(uuid.uuid4())
    shown, redriven = postloop("show", nobody), postloop("redrive", nobody)
    assert (shown.returncode, shown.stderr) == (1, f"error: no dead letter {nobody}\n")
    assert redriven.returncode == 1
    assert "1 of 1 not found" in redriven.stderr


def test_redriving_publishes_the_original_bytes_with_the_header(
    postloop: Postloop, refuse: Callable[..., str], settings: Settings
) -> None:
    value = bytes(range(256)) * 3
    event_id = refuse(value, key=b"\x00key")
    assert rows(postloop("redrive", event_id, "--json")) == [
        {
            "redriven": 1,
            "already_redriven": 0,
            "not_records": 0,
            "left_alone": 0,
            "not_found": 0,
            "dry_run": False,
        }
    ]
    (record,) = records(settings, "email.bounce")
    assert (record.key, record.value) == (b"\x00key", value)
    assert list(record.headers) == [("postloop-redriven", event_id.encode())]


def test_a_dead_letter_is_redriven_once_unless_told_again(
    postloop: Postloop, refuse: Callable[..., str], settings: Settings
) -> None:
    event_id = refuse()
    postloop("redrive", event_id)
    second = rows(postloop("redrive", event_id, "--json"))
    assert (second[0]["redriven"], second[0]["already_redriven"]) == (0, 1)
    assert len(records(settings, "email.bounce")) == 1
    assert rows(postloop("redrive", event_id, "--again", "--json"))[0]["redriven"] == 1
    assert len(records(settings, "email.bounce")) == 2
    assert rows(postloop("show", event_id, "--json"))[0]["redriven_at"]


@pytest.mark.either_broker
def test_a_dry_run_publishes_nothing_and_remembers_nothing(
    postloop: Postloop, refuse: Callable[..., str], settings: Settings
) -> None:
    refuse()
    dry = rows(postloop("redrive", "--topic", "email.bounce", "--dry-run", "--json"))
    assert (dry[0]["redriven"], dry[0]["dry_run"]) == (1, True)
    assert not records(settings, "email.bounce")
    assert rows(postloop("redrive", "--topic", "email.bounce", "--json"))[0]["redriven"] == 1


def test_many_are_chosen_by_topic_and_age(
    postloop: Postloop, refuse: Callable[..., str], settings: Settings
) -> None:
    wanted = {f"value {number}".encode() for number in range(60)}
    for value in wanted:
        refuse(value)
    refuse(b"too old", age=timedelta(days=2))
    refuse(b"elsewhere", topic="email.open")
    done = rows(postloop("redrive", "--topic", "email.bounce", "--since", "1d", "--json"))
    assert done[0]["redriven"] == 60
    assert {record.value for record in records(settings, "email.bounce")} == wanted
    assert not records(settings, "email.open")


def test_a_null_value_goes_back_as_a_null_value(
    postloop: Postloop, refuse: Callable[..., str], settings: Settings
) -> None:
    postloop("redrive", refuse(b"", code="null_value"), refuse(b"", code="not_json"))
    assert sorted(record.value is None for record in records(settings, "email.bounce")) == [False, True]


@pytest.mark.parametrize("topic", ["postloop.blocklist.signal", "postloop.webhook.delivery"])
def test_what_belongs_to_an_owner_goes_back_to_the_partition_of_the_owner(
    postloop: Postloop, refuse: Callable[..., str], settings: Settings, topic: str
) -> None:
    last = settings.topic_partitions - 1
    event_ids = [
        refuse(b"[%d]" % number, key=b"", topic=settings.topic_prefix + topic, partition=last)
        for number in range(4)
    ]
    postloop("redrive", *event_ids)
    assert [record.partition for record in records(settings, topic)] == [last] * 4


def test_what_would_replace_something_newer_and_what_has_no_bytes_is_left_alone(
    postloop: Postloop, refuse: Callable[..., str], settings: Settings
) -> None:
    changelog = settings.topic_prefix + "postloop.blocklist.changelog"
    event_ids = [
        refuse(topic=changelog),
        refuse(topic=settings.topic_prefix + "blocklist.state"),
        refuse(b"", topic=settings.topic_prefix + "blocklist.command", also="value_omitted"),
    ]
    done = postloop("redrive", *event_ids, "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["left_alone"] == 3
    assert records(settings, "postloop.blocklist.changelog") == []
    assert records(settings, "blocklist.command") == []


def test_a_topic_that_is_missing_is_one_sentence(postloop: Postloop, refuse: Callable[..., str]) -> None:
    done = postloop("redrive", refuse(), topic_prefix="nowhere.")
    assert done.returncode == 3
    assert done.stderr == "error: topic nowhere.email.bounce does not exist: run `postloop topics create`\n"


@pytest.mark.either_broker
def test_an_unreachable_database_is_exit_code_3_without_a_traceback(postloop: Postloop) -> None:
    port = free_port()
    done = postloop("list", clickhouse_url=f"http://127.0.0.1:{port}")
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: ClickHouse at http://127.0.0.1:{port}")
    assert "Traceback" not in done.stderr


def test_an_unreachable_broker_is_exit_code_3_and_nothing_is_remembered(
    postloop: Postloop, refuse: Callable[..., str]
) -> None:
    event_id = refuse()
    done = postloop("redrive", event_id, kafka_brokers=f"127.0.0.1:{free_port()}")
    assert done.returncode == 3
    assert "cannot be reached: nothing listens there (connection refused)" in done.stderr
    assert rows(postloop("show", event_id, "--json"))[0]["redriven_at"] is None


@pytest.mark.either_broker
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["redrive"], id="nothing chosen"),
        pytest.param(["redrive", "an-id", "--topic", "email.bounce"], id="chosen twice"),
        pytest.param(["redrive", "--since", "yesterday"], id="no time"),
        pytest.param(["list", "--since", "2026-01-02"], id="a day is no moment"),
    ],
)
def test_wrong_usage_is_exit_code_2(postloop: Postloop, arguments: list[str]) -> None:
    done = postloop(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
