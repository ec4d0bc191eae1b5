"""`python -m bench blocklist PART`: the blocklist's worker and client, each part alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bench import facts
from bench.blocklist.asking import measure_client
from bench.blocklist.ending import measure_endings
from bench.blocklist.outage import measure_outage
from bench.blocklist.restart import Source, measure_restarts
from bench.blocklist.throughput import measure_deliveries, measure_inserts
from bench.blocklist.visible import measure_visible
from bench.cli.common import JsonFile, Timeout, latency_line, part, write

app = typer.Typer(no_args_is_help=True, help="The blocklist: docs/blocklist.md explains the figures.")


def register(parent: typer.Typer) -> None:
    """Add `blocklist`."""
    parent.add_typer(app, name="blocklist")


@app.command()
def insert(
    entries: Annotated[int, typer.Option(min=100, help="Addresses that bounce.")] = 200_000,
    timeout_s: Timeout = 900.0,
    json_file: JsonFile = None,
) -> None:
    """Hard bounces of addresses that differ -> entries a second: python -m bench blocklist insert"""
    with part("inserted", entries) as (place, say):
        found = measure_inserts(entries, place.directory, timeout_s=timeout_s, say=say)
    place.say(
        f"{found.entries:,} entries: {found.entries_per_s:,.0f} a second, {found.stored_per_s:,.0f} a second "
        f"until stored; CPU s per million: worker {found.cpu_stored_per_million:,.0f}, ClickHouse "
        f"{found.cpu_clickhouse_per_million:,.0f}; peak {found.peak_mb:,.0f} MB"
    )
    _write(json_file, "insert", found)


@app.command()
def deliveries(
    rate: Annotated[int, typer.Option(min=1, help="Deliveries a second.")] = 10_000,
    seconds: Annotated[int, typer.Option(min=2, help="How long.")] = 30,
    timeout_s: Timeout = 300.0,
    json_file: JsonFile = None,
) -> None:
    """What deliveries to addresses that are not listed cost: python -m bench blocklist deliveries"""
    with part("deliveries", rate * seconds) as (place, say):
        found = measure_deliveries(rate, seconds, place.directory, timeout_s=timeout_s, say=say)
    place.say(
        f"{found.rate_per_s:,.0f} deliveries a second: {found.core_share:.2f} of a core (idle "
        f"{found.idle_core_share:.2f}), {found.behind_s:.2f} s behind at the end; peak {found.peak_mb:,.0f} MB"
    )
    _write(json_file, "deliveries", found)


@app.command()
def visible(
    rate: Annotated[int, typer.Option(min=1, help="Events a second.")] = 1000,
    every: Annotated[int, typer.Option(min=1, help="So manieth is a hard bounce, the rest deliveries.")] = 1,
    seconds: Annotated[int, typer.Option(min=2, help="How long.")] = 30,
    json_file: JsonFile = None,
) -> None:
    """A hard bounce -> its event, and its row in ClickHouse: python -m bench blocklist visible"""
    with part("published", (3 + seconds) * rate // every) as (place, say):
        found = measure_visible(rate, seconds, place.directory, every=every, say=say)
    place.say(f"blocklist.insert: {latency_line(found.published)}")
    place.say(f"v_blocklist_active: {latency_line(found.in_clickhouse)}")
    _write(json_file, "visible", found)


@app.command()
def outage(
    per_minute: Annotated[int, typer.Option(min=100, help="Mail to the provider a minute.")] = 1000,
    minute_s: Annotated[float, typer.Option(min=0.5, help="How long a minute is played.")] = 3.0,
    json_file: JsonFile = None,
) -> None:
    """A provider refuses everybody for ten minutes, without and with the guard: python -m bench blocklist outage"""
    both = []
    with part("minutes", 83) as (place, say):
        for found in measure_outage(per_minute, place.directory, minute_s=minute_s, say=say):
            place.say(
                f"guard {'on' if found.is_guarded else 'off'}: {found.refused:,} refused, {found.inserted:,} inserted, "
                f"{found.kept:,} kept; really unknown and blocked: {found.usual:,}; detected after "
                f"{found.detected_after_minutes} minutes"
            )
            both.append(found)
    _write(json_file, "outage", both)


@app.command()
def restart(
    entries: Annotated[int, typer.Option(min=100, help="Entries that are known before.")] = 1_000_000,
    source: Annotated[list[Source] | None, typer.Option(help="Only these; default all.")] = None,
    timeout_s: Timeout = 1800.0,
    json_file: JsonFile = None,
) -> None:
    """Start on a changelog, on files, on ClickHouse: python -m bench blocklist restart --entries 5000000"""
    seen = []
    with part("loaded", entries) as (place, say):
        for found in measure_restarts(
            entries, place.directory, sources=source or list(Source), timeout_s=timeout_s, say=say
        ):
            seen.append(found)
            place.say(
                f"{found.source}, {found.entries:,} entries: ready after {found.ready_s:.1f} s, CPU "
                f"{found.cpu_s:.1f} s, peak {found.peak_mb:,.0f} MB, then {found.rss_mb:,.0f} MB, "
                f"files {found.files_mb:,.0f} MB"
            )
    _write(json_file, "restart", seen)


@app.command()
def expire(
    entries: Annotated[int, typer.Option(min=100, help="Entries that do not end.")] = 1_000_000,
    spread: Annotated[int, typer.Option(min=2, help="Leases that end within ten seconds.")] = 1_000,
    at_once: Annotated[int, typer.Option(min=2, help="Leases that end within one second.")] = 10_000,
    timeout_s: Timeout = 1800.0,
    json_file: JsonFile = None,
) -> None:
    """How late leases end, also after a kill: python -m bench blocklist expire --entries 1000000"""
    seen = []
    with part("done", entries) as (place, say):
        for found in measure_endings(entries, spread, at_once, place.directory, timeout_s=timeout_s, say=say):
            seen.append(found)
            since = f", after ready ({found.ready_s:.1f} s)" if found.ready_s else ""
            place.say(f"{found.case}, among {found.among:,}{since}: {latency_line(found.late)}")
    _write(json_file, "expire", seen)


@app.command()
def client(
    entries: Annotated[int, typer.Option(min=100, help="Entries of the list.")] = 1_000_000,
    timeout_s: Timeout = 1800.0,
    json_file: JsonFile = None,
) -> None:
    """What a sender pays for its list: python -m bench blocklist client --entries 1000000"""
    with part("loaded", entries) as (place, say):
        found = measure_client(entries, place.directory, timeout_s=timeout_s, say=say)
    place.say(
        f"{found.entries:,} entries: ready after {found.ready_s:.1f} s, {found.bytes_per_entry:.1f} bytes an entry; "
        f"allowed {found.allowed_per_s:,.0f} a second (p50 {found.p50_us:.1f} us, p99 {found.p99_us:.1f} us, "
        f"longest {found.longest_us:,.0f} us), allowed_many {found.many_per_s:,.0f} a second"
    )
    _write(json_file, "client", found)


def _write(json_file: Any, part: str, found: Any) -> None:
    if json_file:
        write(json_file, {"measured_at": datetime.now(UTC), "machine": facts.machine(), part: found})
