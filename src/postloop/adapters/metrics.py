"""Every Prometheus metric of Postloop: type, labels, unit and meaning. A test compares docs/operations.md."""

from __future__ import annotations

import platform
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from postloop.adapters.installed import installed_version

NAMESPACE: Final = "postloop"
# An insert takes some 10 ms when small and seconds when the database is busy.
_INSERT_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_END_TO_END_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_REQUEST_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_ROW_BUCKETS: Final = (1, 10, 100, 500, 1_000, 5_000, 10_000, 25_000, 50_000)


def _dead_letters_total(registry: CollectorRegistry) -> Counter:
    return Counter(
        "dead_letters_total",
        "Dead letters written, by the stage that refused the record and the code of its first error",
        ["stage", "code"],
        namespace=NAMESPACE,
        registry=registry,
    )


class RecorderMetrics:
    """Metrics of the recorder, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._count_records()
        self._watch_inserts()
        self._watch_state()
        register_build_info(self.registry)

    def _count_records(self) -> None:
        self.recorder_events_total = Counter(
            "recorder_events_total",
            "Events read, by what became of them: stored, duplicate or invalid",
            ["topic", "outcome"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.dead_letters_total = _dead_letters_total(self.registry)
        self.recorder_lag_records = Gauge(
            "recorder_lag_records",
            "Records in the log that are not stored yet",
            ["topic", "partition"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.recorder_end_to_end_seconds = Histogram(
            "recorder_end_to_end_seconds",
            "From the timestamp of a Kafka record until it can be queried",
            buckets=_END_TO_END_BUCKETS_S,
            namespace=NAMESPACE,
            registry=self.registry,
        )

    def _watch_inserts(self) -> None:
        self.recorder_insert_seconds = Histogram(
            "recorder_insert_seconds",
            "Time of one insert into ClickHouse",
            buckets=_INSERT_BUCKETS_S,
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.recorder_run_rows = Histogram(
            "recorder_run_rows",
            "Rows of one insert run",
            buckets=_ROW_BUCKETS,
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.recorder_insert_retries_total = Counter(
            "recorder_insert_retries_total",
            "Inserts that were tried again",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.recorder_heals_total = Counter(
            "recorder_heals_total",
            "Insert runs whose effect was in doubt and that were healed from the stored rows",
            namespace=NAMESPACE,
            registry=self.registry,
        )

    def _watch_state(self) -> None:
        self.recorder_buffer_rows = Gauge(
            "recorder_buffer_rows",
            "Rows held in memory",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.dedup_ids = Gauge(
            "dedup_ids",
            "Event ids remembered to drop repeats",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.sink_unavailable = Gauge(
            "sink_unavailable",
            "1 while ClickHouse cannot be reached and the recorder waits, else 0",
            namespace=NAMESPACE,
            registry=self.registry,
        )


class BlocklistMetrics:
    """Metrics of the blocklist role, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.dead_letters_total = _dead_letters_total(self.registry)
        self.blocklist_signals_total = Counter(
            "blocklist_signals_total",
            "Facts about addresses that were routed to the owner of the address, by the topic they came from",
            ["topic"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.blocklist_changes_total = Counter(
            "blocklist_changes_total",
            "Changes published: inserted, extended or expired",
            ["change"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.blocklist_held_total = Counter(
            "blocklist_held_total",
            "Hard bounces that the incident guard kept from blocking: held, or of a hold that was discarded",
            ["fate"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.blocklist_entries = Gauge(
            "blocklist_entries",
            "Addresses of which this worker knew something when its partitions were opened",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.blocklist_restored_entries = Gauge(
            "blocklist_restored_entries",
            "Entries that this worker restored from ClickHouse because its changelog was empty",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.blocklist_journal_unstored_rows = Gauge(
            "blocklist_journal_unstored_rows",
            "Rows read from the topics and not stored in ClickHouse yet",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        register_build_info(self.registry)


class ReputationMetrics:
    """Metrics of the reputation role, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.dead_letters_total = _dead_letters_total(self.registry)
        self.reputation_evaluations_total = Counter(
            "reputation_evaluations_total",
            "Senders (account and sender domain) whose evidence was judged",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.reputation_changes_total = Counter(
            "reputation_changes_total",
            "Changes published, by the new grade",
            ["grade"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.reputation_senders = Gauge(
            "reputation_senders",
            "Senders that this worker knew when it last looked at all of them",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.reputation_restored_senders = Gauge(
            "reputation_restored_senders",
            "Senders that this worker restored from ClickHouse because its changelog was empty",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.reputation_look_seconds = Gauge(
            "reputation_look_seconds",
            "How long the last look at the senders with news took",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.delivery_alerts_total = Counter(
            "delivery_alerts_total",
            "Alerts about delays and silence published, by kind and whether they began or ended",
            ["kind", "change"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        register_build_info(self.registry)


class WebhookMetrics:
    """Metrics of the webhooks role, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.dead_letters_total = _dead_letters_total(self.registry)
        self._count_events()
        self._watch_state()
        register_build_info(self.registry)

    def _count_events(self) -> None:
        self.webhook_deliveries_total = Counter(
            "webhook_deliveries_total",
            "Events that were matched with an endpoint, by type",
            ["type"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.webhook_attempts_total = Counter(
            "webhook_attempts_total",
            "Attempts that ended: delivered, retried or given_up, and why they failed",
            ["outcome", "error"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.webhook_attempt_seconds = Histogram(
            "webhook_attempt_seconds",
            "Time of one attempt, the answer included",
            buckets=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 16.0),
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.webhook_disabled_total = Counter(
            "webhook_disabled_total",
            "Endpoints that this worker disabled, by cause",
            ["cause"],
            namespace=NAMESPACE,
            registry=self.registry,
        )

    def _watch_state(self) -> None:
        gauges = {
            "webhook_endpoints": "Endpoints that this worker knows",
            "webhook_restored_endpoints": "Endpoints that were restored from ClickHouse because their topic was empty",
            "webhook_waiting": "Deliveries that wait in the partitions of this worker",
            "webhook_dead": "Deliveries that were given up and can be recovered, in the partitions of this worker",
            "webhook_running": "Attempts that run",
            "webhook_journal_unstored_rows": "Rows read from the topics and not stored in ClickHouse yet",
        }
        made = {
            name: Gauge(name, text, namespace=NAMESPACE, registry=self.registry)
            for name, text in gauges.items()
        }
        self.webhook_endpoints = made["webhook_endpoints"]
        self.webhook_restored_endpoints = made["webhook_restored_endpoints"]
        self.webhook_waiting = made["webhook_waiting"]
        self.webhook_dead = made["webhook_dead"]
        self.webhook_running = made["webhook_running"]
        self.webhook_journal_unstored_rows = made["webhook_journal_unstored_rows"]


class ApiMetrics:
    """Metrics of the API, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.api_requests_total = Counter(
            "api_requests_total",
            "Requests by route, method and status; route none: no route was meant",
            ["route", "method", "status"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.api_request_seconds = Histogram(
            "api_request_seconds",
            "Time from the first byte of a request to the last of its answer",
            ["route"],
            buckets=_REQUEST_BUCKETS_S,
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.api_auth_failures_total = Counter(
            "api_auth_failures_total",
            "Requests without a key that counts: no_key, malformed, unknown, expired or revoked",
            ["reason"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.api_events_total = Counter(
            "api_events_total",
            "Events handed in, by type, that the brokers acknowledged",
            ["type"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        register_build_info(self.registry)


class StackMetrics:
    """Metrics of `postloop up` about the processes it runs."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.stack_component_ready = Gauge(
            "stack_component_ready",
            "1 while a process of the stack is ready, else 0",
            ["component"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.stack_restarts_total = Counter(
            "stack_restarts_total",
            "Processes of the stack that ended and were started again",
            ["component"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.stack_memory_bytes = Gauge(
            "stack_memory_bytes",
            "Resident memory of a process of the stack",
            ["component"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.broker_memory_limit_bytes = Gauge(
            "broker_memory_limit_bytes",
            "Memory of the embedded broker above which it is emptied (POSTLOOP_MEMORY_LIMIT_MB)",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        register_build_info(self.registry)


def register_build_info(registry: CollectorRegistry) -> None:
    """Add `postloop_build_info`, which is always 1 and tells the versions in its labels."""
    gauge = Gauge(
        "build_info",
        "Always 1; the version of Postloop and of Python",
        ["version", "python"],
        namespace=NAMESPACE,
        registry=registry,
    )
    gauge.labels(version=installed_version(), python=platform.python_version()).set(1)
