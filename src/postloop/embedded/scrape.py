"""Reads the health and the metrics of the processes of a stack over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import aiohttp
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from postloop.domain.roles import BLOCKLIST, WEBHOOKS

LAG: Final = "postloop_recorder_lag_records"
RESTORED: Final = {
    BLOCKLIST: "postloop_blocklist_restored_entries",
    WEBHOOKS: "postloop_webhook_restored_endpoints",
}
"""What roles call that which came back from ClickHouse."""


async def answers(session: aiohttp.ClientSession, url: str, *, body: str | None = None) -> bool:
    """Return whether a GET answers 200, and with `body` where one is expected."""
    try:
        async with session.get(url) as response:
            text = await response.text()
            return response.status == 200 and (body is None or text.strip() == body)
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
        return False


async def page(session: aiohttp.ClientSession, url: str) -> str:
    """Return the text of a page, empty when there is none."""
    try:
        async with session.get(url) as response:
            return await response.text() if response.status == 200 else ""
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
        return ""


def lag_of(metrics: str) -> int | None:
    """Return the records that wait to be stored, summed over partitions; None when the page does not tell."""
    for family in text_string_to_metric_families(metrics):
        if family.name == LAG and family.samples:
            return int(sum(max(0.0, sample.value) for sample in family.samples))
    return None


def figure(metrics: str, name: str) -> float | None:
    """Return the value of a metric without labels; None when the page does not tell."""
    for family in text_string_to_metric_families(metrics):
        if family.name == name and family.samples:
            return float(family.samples[0].value)
    return None


class Relayed(Collector):
    """Metric families of other processes, each sample with the label `role` of its process."""

    def __init__(self, pages: Mapping[str, str]) -> None:
        self._pages = pages

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for role, text in self._pages.items():
            for family in text_string_to_metric_families(text):
                merged = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    merged.samples.append(sample._replace(labels={**sample.labels, "role": role}))
        return families.values()


def one_page(own: CollectorRegistry, pages: Mapping[str, str]) -> bytes:
    """Return one metrics page: those of other processes by role, and our own as the role `up`."""
    registry = CollectorRegistry()
    registry.register(Relayed({"up": generate_latest(own).decode(), **pages}))
    return generate_latest(registry)
