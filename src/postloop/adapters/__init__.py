"""The outside world: Kafka, ClickHouse, the clock, logs and metrics."""
