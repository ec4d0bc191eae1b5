"""From the tally of a simulation to its truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Final

from postloop.simulation.columns import COUNT_COLUMNS, DELAYED_AFTER_MS
from postloop.simulation.generator import Simulation
from postloop.simulation.mailboxes import MAILBOXES
from postloop.simulation.replies import FAULTS
from postloop.simulation.tally import Opening, campaign_cell, cell
from postloop.simulation.truth import (
    BOUNCE_DIMENSIONS,
    CAMPAIGN_DIMENSIONS,
    DOMAIN_DIMENSIONS,
    LATENCY_DIMENSIONS,
    OPEN_RATE_DIMENSIONS,
    Counts,
    Truth,
)

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
PERCENTILES: Final = (50, 95, 99)

Group = tuple[str, ...]


def build_truth(simulation: Simulation) -> Truth:
    """Return the truth of a simulation whose records have all been taken."""
    plan, tally = simulation.plan, simulation.tally
    groups = _Groups(simulation)
    return Truth(
        run=plan.run,
        event_id_prefix=plan.event_id_prefix,
        key_prefix=plan.key_prefix,
        plan=asdict(plan),
        accounts=simulation.world.accounts,
        first_event_at=tally.first_ms,
        last_event_at=tally.last_ms,
        totals={
            "events": tally.events,
            "by_type": dict(tally.by_type),
            "bounces_by_reason": dict(tally.bounces_by_reason),
            "disturbances": dict(tally.disturbances),
            "invalid": dict(tally.invalid),
            "dead_letters": tally.invalid.total(),
            "dead_letters_by_type": dict(tally.dead_letters_by_type),
        },
        domain=_domain(simulation, groups),
        campaign=_campaign(simulation, groups),
        bounces=_bounces(simulation, groups),
        latency=_latency(simulation, groups),
        unique_opens=_uniques(tally.openings, DOMAIN_DIMENSIONS, groups.domain_of, by_hour=False),
        unique_opens_hour=_uniques(tally.openings, OPEN_RATE_DIMENSIONS, groups.open_rate_of, by_hour=True),
        unique_opens_campaign=_uniques(
            [o for o in tally.openings if any(groups.campaign_of(o)[2:])],
            CAMPAIGN_DIMENSIONS,
            groups.campaign_of,
            by_hour=False,
        ),
    )


class _Groups:
    """The dimensions behind the numbers of streams, mailboxes and campaigns."""

    def __init__(self, simulation: Simulation) -> None:
        self._streams = simulation.world.streams

    def domain(self, stream: int, mailbox: int) -> Group:
        s = self._streams[stream]
        provider = MAILBOXES[mailbox].provider
        return (s.account_id, s.sender_domain, provider, s.ip_pool, s.ip_pool_kind, s.mail_class)

    def campaign(self, stream: int, campaign: int) -> Group:
        s = self._streams[stream]
        told = s.campaigns[campaign]
        return (s.account_id, s.sender_domain, told.campaign_id, told.template_id)

    def domain_of(self, opening: Opening) -> Group:
        return self.domain(opening.stream, opening.mailbox)

    def campaign_of(self, opening: Opening) -> Group:
        return self.campaign(opening.stream, opening.campaign)

    def open_rate_of(self, opening: Opening) -> Group:
        s = self._streams[opening.stream]
        return (s.account_id, s.sender_domain, s.mail_class)


def _domain(simulation: Simulation, groups: _Groups) -> Counts:
    cells: dict[tuple[int, Group], list[int]] = defaultdict(_zeros)
    for key, number in simulation.tally.cells.items():
        minute, stream, mailbox, column = cell(key)
        cells[minute * _MINUTE_S, groups.domain(stream, mailbox)][column] += number
    return _table(DOMAIN_DIMENSIONS, _MINUTE_S, COUNT_COLUMNS, cells)


def _campaign(simulation: Simulation, groups: _Groups) -> Counts:
    cells: dict[tuple[int, Group], list[int]] = defaultdict(_zeros)
    for key, number in simulation.tally.campaign_cells.items():
        hour, stream, campaign, column = campaign_cell(key)
        group = groups.campaign(stream, campaign)
        if any(group[2:]):  # mail without campaign and template is in no campaign
            cells[hour * _HOUR_S, group][column] += number
    return _table(CAMPAIGN_DIMENSIONS, _HOUR_S, COUNT_COLUMNS, cells)


def _bounces(simulation: Simulation, groups: _Groups) -> Counts:
    rows: dict[tuple[int, Group], list[int]] = defaultdict(lambda: [0])
    for bounced, number in simulation.tally.bounces.items():
        place = groups.domain(bounced.stream, bounced.mailbox)[:3]
        verdict = (bounced.reason, str(bounced.is_hard).lower(), FAULTS[bounced.reason])
        rows[bounced.minute * _MINUTE_S, (*place, *verdict)][0] += number
    return _table(BOUNCE_DIMENSIONS, _MINUTE_S, ("bounce_count",), rows)


def _latency(simulation: Simulation, groups: _Groups) -> Counts:
    latencies: dict[Group, list[int]] = defaultdict(list)
    for (stream, mailbox), values in simulation.tally.latencies_ms.items():
        latencies[groups.domain(stream, mailbox)[:3]].extend(values)
    rows: dict[tuple[int, Group], list[float]] = {}
    for group, known in latencies.items():
        known.sort()
        delayed = sum(value > DELAYED_AFTER_MS for value in known)
        rows[0, group] = [len(known), delayed, *(nearest_rank(known, p) / 1000 for p in PERCENTILES)]
    names = ("delivered_count", "delayed_count", *(f"p{p}_s" for p in PERCENTILES))
    return _table(LATENCY_DIMENSIONS, 0, names, rows)


def nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """Return the smallest value that at least `percent` % of the values do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _uniques(
    openings: Iterable[Opening],
    dimensions: tuple[str, ...],
    group_of: Callable[[Opening], Group],
    *,
    by_hour: bool,
) -> Counts:
    every: dict[tuple[int, Group], set[int]] = defaultdict(set)
    human: dict[tuple[int, Group], set[int]] = defaultdict(set)
    for opening in openings:
        key = (opening.hour * _HOUR_S if by_hour else 0, group_of(opening))
        every[key].add(opening.serial)
        if opening.is_human:
            human[key].add(opening.serial)
    rows = {key: [len(serials), len(human[key])] for key, serials in every.items()}
    return _table(dimensions, _HOUR_S if by_hour else 0, ("unique_open_count", "human_open_count"), rows)


def _zeros() -> list[int]:
    return [0] * len(COUNT_COLUMNS)


def _table(
    dimensions: tuple[str, ...],
    bucket_s: int,
    names: Sequence[str],
    rows: dict[tuple[int, Group], list[int]] | dict[tuple[int, Group], list[float]],
) -> Counts:
    """Return rows as a table in a fixed order, so that equal truths are equal files."""
    keys = sorted(rows)
    groups = sorted({group for _, group in keys})
    place_of = {group: place for place, group in enumerate(groups)}
    return Counts(
        dimensions=dimensions,
        groups=groups,
        bucket_s=bucket_s,
        buckets=[bucket for bucket, _ in keys] if bucket_s else [],
        places=[place_of[group] for _, group in keys],
        columns={name: [rows[key][i] for key in keys] for i, name in enumerate(names)},
    )
