"""simulate -> broker -> recorder -> ClickHouse -> verify, and every kind of damage that verify must see."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from postloop.adapters.clickhouse import connect
from postloop.adapters.event_producer import EventProducer
from postloop.cli.main import app
from postloop.domain.event_types import INPUT_TOPICS
from postloop.simulation.truth import read_truth
from tests.support.brokers import Broker
from tests.support.processes import wait_until
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(600)


class Desk:
    """Runs commands against a stack."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self._directory = directory
        self._seed = 0
        names = ("kafka_brokers", "topic_prefix", "clickhouse_url", "data_dir", "topic_partitions")
        self._env = {f"POSTLOOP_{name.upper()}": str(getattr(stack.settings, name)) for name in names}

    def run(self, *arguments: str, **env: str) -> Result:
        return CliRunner().invoke(app, arguments, env={**self._env, **env})

    def simulate(self, *arguments: str, events: int = 400) -> Path:
        """Simulate a run of its own and return its truth file."""
        self._seed += 1
        path = self._directory / f"truth-{self._seed}.json.gz"
        done = self.run(
            *("simulate", "--seed", str(self._seed), "--events", str(events), "--truth", str(path), "--json"),
            *arguments,
        )
        assert done.exit_code == 0, done.output
        return path

    def verify(self, truth: Path, *, wait: str = "30s") -> tuple[int, dict[str, Any]]:
        """Return exit code and document of `verify`."""
        done = self.run("verify", "--truth", str(truth), "--wait", wait, "--json")
        return done.exit_code, json.loads(done.stdout)

    def damage(self, sql: str) -> None:
        # Not to be taken for a repeat of what the recorder inserted.
        settings = {"insert_deduplicate": 0, "mutations_sync": 2}
        connect(self.stack.settings).command(sql, settings=settings)


@pytest.fixture(scope="module")
def desk(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    directory = tmp_path_factory.mktemp("simulate")
    prefix = f"s{uuid.uuid4().hex[:8]}."
    with Stack(broker, prefix=prefix, directory=directory, partitions=3) as stack:
        stack.start_recorder(ready=True)
        _let_every_partition_have_a_run(stack)
        yield Desk(stack, directory)


def _let_every_partition_have_a_run(stack: Stack) -> None:
    """Store one event of each partition.

    The first run of a new owner makes the recorder compare its hours with the raw events, and that would
    sometimes repair what a test wants to see broken.
    """
    at = datetime.now(UTC).isoformat()
    with EventProducer(stack.settings) as producer:
        topics = [stack.settings.topic_prefix + topic for topic in INPUT_TOPICS.values()]
        producer.require_topics(topics)
        for topic in topics:
            for partition in range(producer.partition_count(topic)):
                value = {"event_id": f"first-{partition}", "occurred_at": at, "account_id": "first"}
                value |= dict.fromkeys(("message_id", "sender_domain", "recipient"), "first")
                producer.send(topic, json.dumps(value).encode(), slot=partition)
        stack.wait_stored(producer.flush())
    wait_until(
        lambda: stack.one("SELECT count() FROM reconcile_queue FINAL WHERE done = 0") == 0,
        timeout_s=60,
        what="the first comparison",
    )


@pytest.fixture
def truth(desk: Desk) -> Path:
    """The truth of a run that was stored without a fault."""
    path = desk.simulate()
    code, report = desk.verify(path)
    assert code == 0, wrong(report)
    return path


def wrong(report: dict[str, Any]) -> dict[str, list[str]]:
    return {check["name"]: check["differences"] for check in report["checks"] if check["difference_count"]}


def test_what_was_simulated_is_what_clickhouse_shows(desk: Desk) -> None:
    path = desk.simulate(
        *("--duplicates", "0.05", "--invalid", "0.03", "--late", "0.1", "--array-share", "0.3"), events=6_000
    )
    code, report = desk.verify(path)
    assert (code, wrong(report)) == (0, {})
    assert report["dead_letters"] == 180
    compared = {check["name"]: check["compared"] for check in report["checks"]}
    assert compared["raw events"] == 6_000
    assert min(compared.values()) >= 1


@pytest.mark.either_broker
def test_several_runs_share_a_database_and_do_not_disturb_each_other(desk: Desk) -> None:
    paths = [desk.simulate(events=300) for _ in range(3)]
    assert [desk.verify(path)[0] for path in paths] == [0, 0, 0]


def test_a_run_that_is_repeated_counts_once(desk: Desk, truth: Path) -> None:
    plan = read_truth(truth).plan
    start = datetime.fromtimestamp(plan["start_ms"] / 1000, UTC).isoformat()
    arguments = ("simulate", "--seed", str(plan["seed"]), "--events", str(plan["events"]))
    again = desk.run(*arguments, "--start", start, "--json")
    assert json.loads(again.stdout)["run"] == read_truth(truth).run
    code, report = desk.verify(truth)
    # The bad records arrived again, the good events were dropped as repeats.
    assert (code, set(wrong(report))) == (1, {"dead letters"})


@pytest.mark.either_broker
def test_a_missing_event_is_named(desk: Desk, truth: Path) -> None:
    event_id = read_truth(truth).event_id_prefix + "00000007"
    desk.damage(f"ALTER TABLE events DELETE WHERE event_id = '{event_id}'")
    code, report = desk.verify(truth, wait="0s")
    assert code == 1
    assert wrong(report)["raw events"] == [f"1 events are missing: {event_id}"]
    assert not any(name.startswith("rollup") for name in wrong(report))


@pytest.mark.either_broker
def test_a_row_that_was_stored_twice_is_seen_in_raw_events_rollups_and_views(desk: Desk, truth: Path) -> None:
    where = f"startsWith(event_id, '{read_truth(truth).event_id_prefix}') AND event_type = 'send' LIMIT 1"
    desk.damage(f"INSERT INTO events SELECT * FROM events WHERE {where}")
    code, report = desk.verify(truth, wait="0s")
    assert code == 1
    assert wrong(report)["raw events"] == ["1 rows were stored twice from the same place of the log"]
    assert {"rollup_minute: domains", "rollup_hour: domains", "v_domain_counts_at, 30d"} <= set(wrong(report))


@pytest.mark.either_broker
@pytest.mark.parametrize("table", ["rollup_minute", "rollup_hour"])
def test_a_rollup_that_counts_one_too_many_is_seen(desk: Desk, truth: Path, table: str) -> None:
    desk.damage(
        f"INSERT INTO {table} (cube, bucket, account_id, sender_domain, mailbox_provider, delivered_count) "
        f"SELECT cube, bucket, account_id, sender_domain, mailbox_provider, 1 FROM {table} "
        f"WHERE cube = 'domain' AND account_id = '{read_truth(truth).accounts[0]}' LIMIT 1"
    )
    code, report = desk.verify(truth, wait="0s")
    assert code == 1
    assert f"{table}: domains" in wrong(report)
    other = {"rollup_minute": "rollup_hour", "rollup_hour": "rollup_minute"}[table]
    assert f"{other}: domains" not in wrong(report)


@pytest.mark.either_broker
def test_a_lost_dead_letter_is_seen(desk: Desk) -> None:
    path = desk.simulate("--invalid", "0.05")
    assert desk.verify(path)[0] == 0
    key = b64encode(read_truth(path).key_prefix.encode()).decode()
    places = connect(desk.stack.settings).query(
        "SELECT topic, `partition`, `offset`, `index` FROM dead_letters "
        f"WHERE startsWith(key_base64, '{key}') LIMIT 1"
    )
    topic, partition, offset, index = places.first_row
    desk.damage(
        f"ALTER TABLE dead_letters DELETE WHERE topic = '{topic}' AND `partition` = {partition} "
        f"AND `offset` = {offset} AND `index` = {index}"
    )
    code, report = desk.verify(path, wait="0s")
    assert (code, set(wrong(report))) == (1, {"dead letters"})


@pytest.mark.either_broker
def test_an_invalid_event_that_was_taken_is_seen(desk: Desk, truth: Path) -> None:
    prefix = read_truth(truth).event_id_prefix
    desk.damage(
        f"INSERT INTO events SELECT * REPLACE('{prefix}bad1' AS event_id, 999999 AS `offset`, "
        f"'elsewhere' AS account_id) FROM events WHERE startsWith(event_id, '{prefix}') LIMIT 1"
    )
    code, report = desk.verify(truth, wait="0s")
    assert code == 1
    assert wrong(report)["raw events"] == ["1 rows are of events that are invalid"]


def test_repeats_on_other_partitions_differ_until_reconcile_and_not_afterwards(desk: Desk) -> None:
    path = desk.simulate("--key", "none", "--duplicates", "0.1", "--late", "0", events=1_500)
    code, report = desk.verify(path)
    assert code == 1
    assert "rollup_hour: domains" in wrong(report)
    assert "raw events" not in wrong(report)
    said = desk.run("verify", "--truth", str(path)).stdout
    assert "postloop reconcile" in said
    known = read_truth(path)
    first, last = (
        datetime.fromtimestamp(ms / 1000, UTC) for ms in (known.first_event_at, known.last_event_at)
    )
    hours = ("--from", first.isoformat(), "--to", (last + timedelta(hours=1)).isoformat())
    assert desk.run("reconcile", *hours).exit_code == 0
    code, report = desk.verify(path)
    assert (code, wrong(report)) == (0, {})


@pytest.mark.either_broker
def test_what_is_still_on_its_way_is_waited_for(desk: Desk) -> None:
    path = desk.simulate(events=1_500)
    done = desk.run("verify", "--truth", str(path))
    assert done.exit_code == 0, done.output
    assert "0 differences" in done.stdout


@pytest.mark.either_broker
def test_differences_are_printed_with_their_place(desk: Desk, truth: Path) -> None:
    desk.damage(f"ALTER TABLE events DELETE WHERE event_id = '{read_truth(truth).event_id_prefix}00000003'")
    done = desk.run("verify", "--truth", str(truth), "--wait", "0s")
    assert done.exit_code == 1
    assert "1 events are missing" in done.stdout
    assert "not all has arrived" in done.stderr
    assert "differences" in done.stdout


def test_a_missing_topic_is_one_sentence_that_names_it(desk: Desk) -> None:
    done = desk.run("simulate", "--events", "10", POSTLOOP_TOPIC_PREFIX="nowhere.")
    assert done.exit_code != 0
    assert done.stderr.strip() == (
        "error: topic nowhere.email.bounce does not exist: run `postloop topics create`"
    )


@pytest.mark.either_broker
def test_a_broker_that_is_not_there_ends_with_3(desk: Desk) -> None:
    done = desk.run("simulate", "--events", "10", POSTLOOP_KAFKA_BROKERS="127.0.0.1:9")
    assert done.exit_code == 3
    assert "Kafka at 127.0.0.1:9 cannot be reached: nothing listens there" in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.either_broker
def test_a_database_that_is_not_there_ends_with_3(desk: Desk) -> None:
    path = desk.simulate(events=10)
    done = desk.run("verify", "--truth", str(path), POSTLOOP_CLICKHOUSE_URL="http://127.0.0.1:9")
    assert done.exit_code == 3
    assert "Traceback" not in done.output


@pytest.mark.either_broker
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("simulate", "--start", "yesterday"), id="no time"),
        pytest.param(("simulate", "--start", "2020-01-01T00:00:00Z"), id="older than the raw retention"),
        pytest.param(("simulate", "--start", "2026-01-01T00:00:00"), id="no zone"),
        pytest.param(("simulate", "--span", "soon"), id="no duration"),
        pytest.param(("simulate", "--truth", "/nowhere/truth.json"), id="a place that is not there"),
        pytest.param(("verify", "--truth", "/nowhere/truth.json"), id="no such file"),
        pytest.param(("verify", "--truth", __file__), id="no truth file"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_sentence(desk: Desk, arguments: tuple[str, ...]) -> None:
    done = desk.run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert done.stderr.startswith("error: ")
