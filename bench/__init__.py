"""Benchmarks: the recorder and its peers on one workload, one broker and one ClickHouse (docs/performance.md)."""
