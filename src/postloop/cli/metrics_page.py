"""The table of metrics in docs/operations.md, made from the registries themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from postloop.adapters.metrics import (
    ApiMetrics,
    BlocklistMetrics,
    RecorderMetrics,
    ReputationMetrics,
    StackMetrics,
    WebhookMetrics,
)

BEGIN: Final = "<!-- metrics: made by `python -m postloop.cli.metrics_page` -->"
END: Final = "<!-- end of metrics -->"
PAGE: Final = Path("docs/operations.md")


def table() -> str:
    """Return the metrics of every process as a Markdown table."""
    head = "| metric | type | labels | meaning |\n|---|---|---|---|\n"
    registries = [
        metrics().registry
        for metrics in (
            RecorderMetrics,
            BlocklistMetrics,
            ReputationMetrics,
            WebhookMetrics,
            ApiMetrics,
            StackMetrics,
        )
    ]
    rows = {name: row for registry in registries for name, row in _rows(registry)}
    return head + "\n".join(rows[name] for name in rows) + "\n"


def with_table(text: str) -> str:
    """Return a page with its table replaced."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{rest.split(END)[1]}"


def _rows(registry: CollectorRegistry) -> Iterator[tuple[str, str]]:
    for metric in _metrics(registry):
        (family,) = metric.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        yield name, f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


def _metrics(registry: CollectorRegistry) -> list[Any]:
    """Return the metric objects in the order in which they were declared."""
    return list(registry._collector_to_names)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
