"""Figures of several processes on one page, and the two figures of lag."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from postloop.adapters.metrics import RecorderMetrics, StackMetrics
from postloop.embedded.addresses import (
    Addresses,
    child_environment,
    embedded_settings,
    overruled,
    stack_settings,
)
from postloop.embedded.lag import lag
from postloop.embedded.scrape import one_page
from postloop.settings import Settings

offsets = st.dictionaries(st.integers(0, 5), st.integers(0, 1000))


def test_one_page_tells_the_figures_of_every_process_by_role() -> None:
    recorder, stack = RecorderMetrics(), StackMetrics()
    recorder.recorder_insert_seconds.observe(0.2)
    stack.stack_restarts_total.labels(component="broker").inc(3)
    page = one_page(stack.registry, {"recorder": generate_latest(recorder.registry).decode()}).decode()
    assert 'postloop_recorder_insert_seconds_count{role="recorder"} 1.0' in page
    assert 'postloop_stack_restarts_total{component="broker",role="up"} 3.0' in page
    families = [family.name for family in text_string_to_metric_families(page)]
    assert len(families) == len(set(families))


@given(ends=offsets, committed=offsets)
def test_nothing_waits_exactly_when_every_partition_is_committed_to_its_end(
    ends: dict[int, int], committed: dict[int, int]
) -> None:
    done = all(committed.get(partition, 0) >= end for partition, end in ends.items())
    assert (lag(ends, committed) == 0) == done


def test_a_partition_without_a_commit_waits_from_its_beginning() -> None:
    assert lag({0: 7, 1: 3}, {0: -1}) == 10


ADDRESSES = Addresses(
    kafka_port=1,
    clickhouse_port=2,
    http_port=3,
)


def test_embedded_processes_use_short_timeouts_unless_a_person_said_otherwise() -> None:
    assert stack_settings(Settings(), ADDRESSES)["session_timeout"] == "6s"
    said = Settings(session_timeout="20s", insert_timeout="10s")  # type: ignore[arg-type]
    assert "session_timeout" not in stack_settings(said, ADDRESSES)


def test_security_of_a_real_cluster_is_not_tried_on_the_embedded_parts() -> None:
    real = Settings(
        kafka_security="sasl_ssl",
        kafka_username="ann",
        kafka_password="x",  # type: ignore[arg-type]
        kafka_brokers="kafka:9093",
        topic_replication=3,
        topic_prefix="acme.",
    )
    assert overruled(real) == ["kafka_security", "kafka_username", "kafka_password"]
    assert overruled(Settings()) == []
    ours = embedded_settings(real, ADDRESSES)
    assert (ours.kafka_brokers, ours.kafka_security, ours.kafka_username) == ("127.0.0.1:1", "plaintext", "")
    assert (ours.topic_replication, ours.topic_prefix) == (1, "acme.")
    environment = child_environment(real, ADDRESSES, data_dir=real.data_dir, health_port=4)
    assert environment["POSTLOOP_KAFKA_SECURITY"] == "plaintext"
    assert environment["POSTLOOP_HEALTH_PORT"] == "4"
