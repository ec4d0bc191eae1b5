"""What Postloop wants of its topics, and what counts as a difference."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.topic_admin import compare
from postloop.adapters.topic_specs import DEADLETTER_MAX_BYTES, INPUT_MAX_BYTES, wanted_topics
from postloop.settings import Settings


def specs_by_name(settings: Settings) -> dict[str, dict[str, str]]:
    return {spec.name: dict(spec.configs) for spec in wanted_topics(settings)}


def test_the_prefix_stands_before_every_topic_in_and_out() -> None:
    names = [spec.name for spec in wanted_topics(Settings(topic_prefix="acme."))]
    assert len(names) == len(set(names)) == 20
    assert all(name.startswith("acme.") for name in names)


def test_only_what_must_be_read_from_the_start_is_compacted() -> None:
    compacted = [
        name for name, configs in specs_by_name(Settings()).items() if configs["cleanup.policy"] == "compact"
    ]
    assert compacted == [
        "blocklist.state",
        "postloop.blocklist.changelog",
        "postloop.webhook.endpoint",
        "postloop.webhook.changelog",
    ]


def test_dead_letters_outlive_the_records_they_came_from() -> None:
    configs = specs_by_name(Settings(topic_retention=timedelta(days=7)))
    assert int(configs["postloop.deadletter"]["retention.ms"]) > int(configs["email.send"]["retention.ms"])


def test_the_largest_record_fits_into_a_dead_letter() -> None:
    in_base64 = (INPUT_MAX_BYTES + 2) // 3 * 4
    assert in_base64 + 100_000 < DEADLETTER_MAX_BYTES


def test_three_replicas_need_two_in_step() -> None:
    assert "min.insync.replicas" not in specs_by_name(Settings(topic_replication=2))["email.send"]
    assert specs_by_name(Settings(topic_replication=3))["email.send"]["min.insync.replicas"] == "2"


@given(more=st.integers(0, 50), replicas=st.integers(1, 5))
def test_more_partitions_or_replicas_than_wanted_are_no_difference(more: int, replicas: int) -> None:
    spec = wanted_topics(Settings())[0]
    assert not list(compare(spec, spec.partitions + more, replicas, spec.configs))


def test_a_config_that_the_broker_does_not_tell_is_no_difference() -> None:
    spec = wanted_topics(Settings())[0]
    assert not list(compare(spec, spec.partitions, spec.replication, {}))


def test_every_property_that_differs_is_named_with_both_values() -> None:
    spec = wanted_topics(Settings(topic_partitions=4))[0]
    found = compare(spec, 2, 1, {**spec.configs, "retention.ms": "1"})
    assert [str(d) for d in found] == ["partitions is 2, wanted 4", "retention.ms is 1, wanted 604800000"]
