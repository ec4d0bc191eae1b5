"""Every metric of the server: name, type, unit."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ServerMetrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "postloop_clickhouse"
        self.queries = Counter(
            f"{prefix}_queries", "Statements that ended, by kind", ["kind"], registry=self.registry
        )
        self.failures = Counter(
            f"{prefix}_failures",
            "Statements that failed, by kind and HTTP status",
            ["kind", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            f"{prefix}_query_seconds",
            "Time in the engine",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(f"{prefix}_requests_in_flight", "Requests under way", registry=self.registry)
        self.inserted_rows = Counter(
            f"{prefix}_inserted_rows", "Rows read from insert bodies", registry=self.registry
        )
        self.inserted_bytes = Counter(
            f"{prefix}_inserted_bytes", "Bytes of insert bodies, decompressed", registry=self.registry
        )
        self.cancelled = Counter(
            f"{prefix}_cancelled", "Reads ended because their client went away", registry=self.registry
        )
