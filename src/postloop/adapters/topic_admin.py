"""Kafka topics: what Postloop wants, what the broker has, and creating what is missing.

Workers never create topics. What exists and differs is reported, and changed only when somebody asks for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from postloop.adapters.errors import RefusedError
from postloop.adapters.kafka_admin import admin_client
from postloop.adapters.topic_specs import TopicSpec, wanted_topics
from postloop.settings import Settings

NOT_TOLD: Final = "not told by the broker"
_SETTLES_WITHIN_S: Final = 10.0
_LOOK_AGAIN_S: Final = 0.1
Status = Literal["created", "changed", "as wanted", "differs", "missing"]


@dataclass(frozen=True)
class Difference:
    """One property that is not as wanted."""

    what: str
    wanted: str
    actual: str

    def __str__(self) -> str:
        return f"{self.what} is {self.actual}, wanted {self.wanted}"


@dataclass(frozen=True)
class TopicReport:
    """What was found, and done, about one topic. `not_told` names configs that the broker does not report."""

    name: str
    purpose: str
    status: Status
    topic_id: str = ""
    partitions: int = 0
    replication: int = 0
    configs: Mapping[str, str] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    not_told: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    topic_id: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


def check_topics(settings: Settings) -> list[TopicReport]:
    """Return how each wanted topic stands on the broker; changes nothing.

    Raises:
        UnavailableError, RefusedError: The broker cannot be asked.
    """
    specs = wanted_topics(settings)
    with admin_client(settings) as client:
        found = _find(client, [spec.name for spec in specs])
    return [_report(spec, found.get(spec.name)) for spec in specs]


def create_topics(settings: Settings, *, fix: bool = False) -> list[TopicReport]:
    """Create what is missing and return how each topic stands then.

    Args:
        fix: Also add partitions and set configs of topics that exist. Never takes partitions away and never
            changes the replication, which no client can.

    Raises:
        UnavailableError, RefusedError: The broker cannot be asked, or refuses.
    """
    specs = wanted_topics(settings)
    with admin_client(settings) as client:
        before = _find(client, [spec.name for spec in specs])
        created = _create(client, [spec for spec in specs if spec.name not in before])
        changed = {spec.name for spec in specs if fix and _fix(client, spec, before.get(spec.name))}
        found = _find_settled(client, specs, changed)
    reports = [_report(spec, found.get(spec.name)) for spec in specs]
    return [_told(report, created=created, changed=changed) for report in reports]


def topic_ids(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Return the identity of each existing topic by name; a topic that was made again has another.

    Topics that do not exist are absent from the answer.

    Raises:
        UnavailableError, RefusedError: The broker cannot be asked.
    """
    with admin_client(settings) as client:
        return {name: found.topic_id for name, found in _describe(client, list(names)).items()}


def missing_topics(settings: Settings, names: Iterable[str]) -> list[str]:
    """Return those of `names` that do not exist on the broker."""
    wanted = list(names)
    known = topic_ids(settings, wanted)
    return [name for name in wanted if name not in known]


def partition_counts(settings: Settings, names: Iterable[str]) -> dict[str, int]:
    """Return the number of partitions of topics that must exist.

    Asked of the admin interface: to ask a producer would create the topic on some brokers.

    Raises:
        RefusedError: A topic does not exist.
    """
    wanted = sorted(set(names))
    with admin_client(settings) as client:
        found = _describe(client, wanted)
    for name in wanted:
        if name not in found:
            raise RefusedError(f"topic {name} does not exist: run `postloop topics create`", code="no_topic")
    return {name: topic.partitions for name, topic in found.items()}


def _find(client: Any, names: Sequence[str]) -> dict[str, _Found]:
    found = _describe(client, names)
    if not found:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
    # "all": the embedded broker calls what was set at creation a default and would tell nothing else.
    answer = client.describe_configs(resources, config_filter="all").get("topic", {})
    for name, configs in answer.items():
        told = {key: str(entry["value"]) for key, entry in configs.items() if entry.get("value") is not None}
        found[name] = _Found(found[name].topic_id, found[name].partitions, found[name].replication, told)
    return found


def _find_settled(client: Any, specs: Sequence[TopicSpec], changed: set[str]) -> dict[str, _Found]:
    """Return what exists, when the broker tells what was changed or has not told it for a while.

    The controller of Apache Kafka confirms a change before the broker that is asked has heard of it.
    """
    until_s = time.monotonic() + _SETTLES_WITHIN_S
    while True:
        found = _find(client, [spec.name for spec in specs])
        pending = any(spec.name in changed and _changeable(spec, found.get(spec.name)) for spec in specs)
        if not pending or time.monotonic() >= until_s:
            return found
        time.sleep(_LOOK_AGAIN_S)


def _changeable(spec: TopicSpec, found: _Found | None) -> bool:
    """Whether something differs that `_fix` sets: anything but the replicas."""
    return found is None or any(compare(spec, found.partitions, spec.replication, found.configs))


def _describe(client: Any, names: Sequence[str]) -> dict[str, _Found]:
    found = {}
    for topic in client.describe_topics(list(names)):
        if topic["error_code"] == 0 and topic["name"] in names:
            replicas = min((len(partition["replica_nodes"]) for partition in topic["partitions"]), default=0)
            found[topic["name"]] = _Found(
                str(topic["topic_id"] or ""), len(topic["partitions"]), replicas, {}
            )
    return found


def _create(client: Any, specs: Sequence[TopicSpec]) -> set[str]:
    if not specs:
        return set()
    wanted = {
        spec.name: {
            "num_partitions": spec.partitions,
            "replication_factor": spec.replication,
            "configs": dict(spec.configs),
        }
        for spec in specs
    }
    answer = client.create_topics(wanted, raise_errors=False)
    refused = [topic for topic in answer["topics"] if topic["error_code"]]
    # Somebody else may be creating the same topics at this moment.
    refused = [topic for topic in refused if for_code(topic["error_code"]) is not TopicAlreadyExistsError]
    if refused:
        kind = for_code(refused[0]["error_code"]).__name__
        reason = refused[0]["error_message"] or kind
        raise RefusedError(f"topic {refused[0]['name']} could not be created: {reason}", code=kind)
    client.wait_for_topics(list(wanted))
    return set(wanted)


def _fix(client: Any, spec: TopicSpec, found: _Found | None) -> bool:
    """Grow partitions and set configs of an existing topic; return whether anything was changed."""
    if found is None:
        return False
    try:
        grow = found.partitions < spec.partitions
        if grow:
            client.create_partitions({spec.name: spec.partitions})
        told = {key: value for key, value in spec.configs.items() if found.configs.get(key, value) != value}
        if told:
            client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, spec.name, told)])
    except KafkaError as error:
        raise RefusedError(
            f"topic {spec.name} could not be changed: {error}", code=type(error).__name__
        ) from error
    return grow or bool(told)


def _report(spec: TopicSpec, found: _Found | None) -> TopicReport:
    if found is None:
        return TopicReport(spec.name, spec.purpose, "missing")
    differences = tuple(compare(spec, found.partitions, found.replication, found.configs))
    return TopicReport(
        spec.name,
        spec.purpose,
        "differs" if differences else "as wanted",
        topic_id=found.topic_id,
        partitions=found.partitions,
        replication=found.replication,
        configs={key: found.configs[key] for key in spec.configs if key in found.configs},
        differences=differences,
        not_told=tuple(key for key in spec.configs if key not in found.configs),
    )


def compare(
    spec: TopicSpec, partitions: int, replication: int, configs: Mapping[str, str]
) -> Iterable[Difference]:
    """Yield what differs. More partitions or replicas than wanted are no fault, nor is a config not told."""
    if partitions < spec.partitions:
        yield Difference("partitions", str(spec.partitions), str(partitions))
    if replication < spec.replication:
        yield Difference("replication", str(spec.replication), str(replication))
    for key, wanted in spec.configs.items():
        actual = configs.get(key, wanted)
        if actual != wanted:
            yield Difference(key, wanted, actual)


def _told(report: TopicReport, *, created: set[str], changed: set[str]) -> TopicReport:
    if report.status != "as wanted":
        return report
    if report.name in created:
        return replace(report, status="created")
    return replace(report, status="changed") if report.name in changed else report
