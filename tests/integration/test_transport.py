"""One app with batch agents, ordinary agents, a table and a timer, on a real broker."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from tests.support.brokers import Broker, make_topics
from tests.support.processes import ChildProcess, python_module, wait_until

COUNT = 600
Run = Callable[..., ChildProcess]


@pytest.fixture
def produced(broker: Broker, topic_prefix: str) -> dict[str, Counter[str]]:
    """Three topics of two partitions with the same values, some of them more than once."""
    make_topics(broker.bootstrap, [topic_prefix + name for name in ("batch", "single", "both")], partitions=2)
    return {name: produce(broker, topic_prefix + name, COUNT) for name in ("batch", "single", "both")}


def produce(broker: Broker, topic: str, count: int) -> Counter[str]:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
    values = [f"v{number % 97}" for number in range(count)]
    for value in values:
        producer.send(topic, value.encode(), key=value.encode())
    producer.flush()
    producer.close()
    return Counter(values)


@pytest.fixture
def run(broker: Broker, topic_prefix: str, tmp_path: Path) -> Iterator[Run]:
    """Start the app: `run("a")` writes its counts to a.json."""
    started: list[ChildProcess] = []

    def start(name: str, *scheme: str) -> ChildProcess:
        arguments = (broker.bootstrap, topic_prefix, str(tmp_path / f"{name}.json"), *scheme)
        started.append(
            python_module("tests.support.mixed_app", *arguments, log_path=tmp_path / f"{name}.log").start()
        )
        return started[-1]

    yield start
    for process in started:
        process.kill_session()


def counts(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def wait_all(process: ChildProcess, path: Path, expected: dict[str, Counter[str]]) -> dict[str, Any]:
    def complete() -> bool:
        got = counts(path)
        return bool(got) and all(
            sum(got[name].values()) >= sum(want.values()) for name, want in expected.items()
        )

    wait_until(complete, timeout_s=90, what=f"all records ({counts(path)})", process=process)
    return counts(path)


@pytest.mark.parametrize("scheme", ["postloop", "kafka"], ids=["batch transport", "Faust's own transport"])
def test_every_kind_of_agent_sees_every_record_once(
    produced: dict[str, Counter[str]], run: Run, tmp_path: Path, scheme: str
) -> None:
    process = run("a", scheme)
    expected = {
        "batch": produced["batch"],
        "single": produced["single"],
        "both_batch": produced["both"],
        "both_single": produced["both"],
    }
    got = wait_all(process, tmp_path / "a.json", expected)
    for name, want in expected.items():
        assert Counter(got[name]) == want, name
    assert Counter(got["table"]) == produced["single"]
    assert got["ticks"] > 0
    assert (got["largest_batch"] > 1) == (scheme == "postloop")


def test_offsets_are_committed_to_the_end_and_a_second_life_starts_behind_them(
    broker: Broker, topic_prefix: str, produced: dict[str, Counter[str]], run: Run, tmp_path: Path
) -> None:
    first = run("a")
    wait_all(first, tmp_path / "a.json", {"batch": produced["batch"], "both_batch": produced["both"]})

    def committed() -> bool:
        offsets = counts(tmp_path / "a.json")["committed"]
        return all(
            sum(o or 0 for tp, o in offsets.items() if tp.startswith(t)) >= COUNT for t in ("batch-", "both-")
        )

    wait_until(committed, timeout_s=20, what="all offsets", process=first)
    first.terminate(timeout_s=20)
    more = produce(broker, topic_prefix + "batch", 50)
    second = run("b")
    got = wait_all(second, tmp_path / "b.json", {"batch": more})
    assert Counter(got["batch"]) == more


@pytest.mark.kafka
def test_a_table_is_recovered_from_its_changelog(
    broker: Broker, topic_prefix: str, produced: dict[str, Counter[str]], run: Run, tmp_path: Path
) -> None:
    first = run("a")
    wait_all(first, tmp_path / "a.json", {"single": produced["single"]})
    wait_until(
        lambda: Counter(counts(tmp_path / "a.json")["table"]) == produced["single"],
        timeout_s=20,
        what="the table",
    )
    first.terminate(timeout_s=20)
    more = produce(broker, topic_prefix + "single", 97)
    second = run("b")
    got = wait_all(second, tmp_path / "b.json", {"single": more})
    assert Counter(got["table"]) == produced["single"] + more, "recovered counts and new ones"
