"""`postloop import`: lines are checked and sent, bad ones are told with their number."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer, TopicPartition
from typer.testing import CliRunner, Result

from postloop.cli.import_events import Line, read_lines
from postloop.cli.main import app
from postloop.contracts.decode import Limits
from postloop.domain.event_types import INPUT_TOPICS, EventType
from tests.support.brokers import Broker

NOW = datetime.now(UTC)
LIMITS = Limits(retention=timedelta(days=90))


def event(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "occurred_at": (NOW - timedelta(minutes=5)).isoformat(),
        "account_id": "acme",
        "message_id": f"m{number}",
        "sender_domain": "mail.acme.example",
        "recipient": f"reader{number}@gmail.com",
        **fields,
    }


def read(*lines: bytes, event_type: EventType | None = None) -> list[Line]:
    stream = io.BytesIO(b"\n".join(lines))
    return list(read_lines(stream, event_type=event_type, now=NOW, limits=LIMITS))


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def test_a_line_says_its_own_type() -> None:
    lines = read(dumps(event(type="bounce")), dumps(event(type="email.open")))
    assert [line.event_type for line in lines] == ["bounce", "open"]
    assert not any(line.problems for line in lines)


def test_the_option_decides_for_every_line_that_says_no_type_of_ours() -> None:
    (line,) = read(dumps(event(type="Permanent")), event_type="bounce")
    assert (line.event_type, line.problems) == ("bounce", ())


def test_a_line_without_a_type_is_refused_with_the_choices() -> None:
    lines = read(dumps(event()), dumps(event(type="click")), dumps([event()]))
    assert [[(p.field, p.code) for p in line.problems] for line in lines] == [[("type", "unknown_type")]] * 3
    assert "send, delivery, bounce" in lines[0].problems[0].text


def test_blank_lines_and_a_byte_order_mark_are_no_events_and_lines_keep_their_numbers() -> None:
    lines = read(b"\xef\xbb\xbf" + dumps(event(type="send")), b"", b"  \r", dumps({"type": "send"}))
    assert [line.number for line in lines] == [1, 4]
    assert not lines[0].problems


def test_every_problem_of_a_line_names_line_field_and_reason() -> None:
    (line,) = read(dumps(event(type="send", account_id=7, occurred_at="yesterday")))
    assert {(p.line, p.field, p.code) for p in line.problems} == {
        (1, "account_id", "wrong_type"),
        (1, "occurred_at", "not_a_time"),
    }


def test_an_array_with_one_bad_element_is_refused_and_the_element_is_named() -> None:
    (line,) = read(dumps([event(1), event(2, event_id="")]), event_type="open")
    assert [(p.index, p.field) for p in line.problems] == [(1, "event_id")]


@given(st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b" ")), max_size=20))
def test_any_line_is_an_event_or_has_a_reason(lines: list[bytes]) -> None:
    for line in read(*lines):
        assert line.problems or (line.event_type is not None and line.events >= 0)


@pytest.fixture
def run(broker: Broker, topic_prefix: str, tmp_path: Path) -> Callable[..., Result]:
    env = {
        "POSTLOOP_KAFKA_BROKERS": broker.bootstrap,
        "POSTLOOP_TOPIC_PREFIX": topic_prefix,
        "POSTLOOP_DATA_DIR": str(tmp_path),
    }

    def command(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(app, ["import", *arguments], env=env, **options)

    return command


@pytest.fixture
def read_topic(
    broker: Broker, topic_prefix: str, new_topics: Callable[..., list[str]]
) -> Callable[..., list[Any]]:
    new_topics(*INPUT_TOPICS.values())

    def records(kind: EventType, *, count: int) -> list[Any]:
        consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
        partition = TopicPartition(topic_prefix + INPUT_TOPICS[kind], 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        found: list[Any] = []
        deadline = datetime.now(UTC) + timedelta(seconds=20)
        while len(found) < count and datetime.now(UTC) < deadline:
            for batch in consumer.poll(timeout_ms=200).values():
                found.extend(batch)
        consumer.close()
        return found

    return records


def write(path: Path, *lines: bytes) -> str:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return str(path)


def test_valid_lines_arrive_byte_for_byte_with_the_recipient_as_key(
    run: Callable[..., Result], read_topic: Callable[..., list[Any]], tmp_path: Path
) -> None:
    bounce = dumps(event(1, type="bounce", diagnostic="550 Böser Empfänger « unbekannt »", smtp_code=550))
    opened = dumps(event(2, type="open"))
    done = run(write(tmp_path / "x.jsonl", bounce, opened), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["by_type"] == {"bounce": 1, "open": 1}
    (record,) = read_topic("bounce", count=1)
    assert (record.value, record.key) == (bounce, b"reader1@gmail.com")
    assert [record.value for record in read_topic("open", count=1)] == [opened]


def test_invalid_lines_are_told_and_left_out_and_valid_ones_are_sent(
    run: Callable[..., Result], read_topic: Callable[..., list[Any]], tmp_path: Path
) -> None:
    good = [dumps(event(n)) for n in (1, 3)]
    bad = dumps(event(2, recipient=None))
    done = run(write(tmp_path / "x.jsonl", good[0], bad, good[1], b"{"), "--type", "delivery")
    assert done.exit_code == 1
    assert "line 2: recipient: " in done.stderr
    assert "line 4: not JSON" in done.stderr
    assert "2 events sent (delivery 2), 2 lines invalid" in done.stdout
    assert [record.value for record in read_topic("delivery", count=2)] == good


def test_standard_input_is_read_for_a_dash(
    run: Callable[..., Result], read_topic: Callable[..., list[Any]]
) -> None:
    done = run("-", "--type", "send", input=dumps(event()) + b"\n")
    assert done.exit_code == 0, done.output
    assert len(read_topic("send", count=1)) == 1


def test_check_needs_no_broker_and_sends_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", dumps(event(type="send")), dumps(event(type="send", sender_domain="")))
    env = {"POSTLOOP_KAFKA_BROKERS": "127.0.0.1:9", "POSTLOOP_DATA_DIR": str(tmp_path)}
    done = CliRunner().invoke(app, ["import", path, "--check", "--json"], env=env)
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert (said["lines"], said["invalid_lines"], said["events"], said["sent"]) == (2, 1, 1, 0)
    assert [(p["line"], p["field"], p["code"]) for p in said["problems"]] == [(2, "sender_domain", "empty")]


def test_a_file_that_is_not_there_ends_with_2_and_its_name(run: Callable[..., Result]) -> None:
    done = run("/nowhere/x.jsonl")
    assert (done.exit_code, done.stderr.strip()) == (
        2,
        "error: cannot read /nowhere/x.jsonl: No such file or directory",
    )


def test_a_missing_topic_is_named(run: Callable[..., Result], topic_prefix: str, tmp_path: Path) -> None:
    done = run(write(tmp_path / "x.jsonl", dumps(event(type="send"))))
    assert done.exit_code != 0
    assert f"topic {topic_prefix}email.bounce does not exist" in done.stderr
