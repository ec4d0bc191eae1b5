"""Compares ClickHouse with the truth of one simulation: raw events, rollups, views and dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from postloop.simulation.checks import EXACT_UP_TO, Check, Rows, compare, exactly, expect, within
from postloop.simulation.columns import COUNT_COLUMNS
from postloop.simulation.expected import (
    HOUR_S,
    MINUTE_S,
    WINDOWS_S,
    in_window,
    next_bucket_s,
    summed,
    unique_opens,
)
from postloop.simulation.observed import Observed, RawEvents
from postloop.simulation.truth import (
    BOUNCE_DIMENSIONS,
    CAMPAIGN_DIMENSIONS,
    DOMAIN_DIMENSIONS,
    LATENCY_DIMENSIONS,
    OPEN_RATE_DIMENSIONS,
    Truth,
)

SKETCH_ERROR: Final = 0.02
"""Unique opens are estimated; above 300 of them the estimate may be off by this share."""
BIN_ERROR: Final = 0.045
"""Delivery times are kept in bins that are 4.4 % wide."""
VIEW_COLUMNS: Final = tuple(
    name for name in COUNT_COLUMNS if name not in ("reporting_delivered_count", "refusal_count")
)
_UNIQUES: Final = ("unique_open_count", "human_open_count")
_ROLLUPS: Final = (("rollup_minute", MINUTE_S), ("rollup_hour", HOUR_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far estimates may be off, as shares."""

    uniques: float = SKETCH_ERROR
    latency: float = BIN_ERROR


class Verification:
    """The checks of one run, in the order in which a person would look."""

    def __init__(self, observed: Observed, truth: Truth, *, tolerance: Tolerance) -> None:
        self._observed = observed
        self._truth = truth
        self._uniques_agree = within(tolerance.uniques, exact_up_to=EXACT_UP_TO)
        self._latency_agrees = within(tolerance.latency)
        # The first instant at which the hour windows hold everything, and the same for the minute windows.
        self._after_hour_s = next_bucket_s(truth.last_event_at, HOUR_S)
        self._after_minute_s = next_bucket_s(truth.last_event_at, MINUTE_S)
        self._days_are_enough = truth.first_event_at // 1000 >= self._after_hour_s - WINDOWS_S["30d"]

    def checks(self) -> Iterator[Check]:
        """Yield the outcome of every comparison as it is made."""
        yield from self._stored()
        for table, bucket_s in _ROLLUPS:
            yield from self._rollup(table, bucket_s)
        yield from self._hourly_uniques()
        yield from self._count_views()
        if self._days_are_enough:
            yield from self._whole_run_views()
        yield self._repairs()

    def _stored(self) -> Iterator[Check]:
        raw = self._observed.raw_events()
        yield _raw_check(raw, self._truth)
        yield expect("raw events by type", expected=self._truth.totals["by_type"], observed=raw.by_type)
        yield expect(
            "dead letters",
            expected=self._truth.totals["dead_letters_by_type"],
            observed=self._observed.dead_letters(),
        )

    def _rollup(self, table: str, bucket_s: int) -> Iterator[Check]:
        truth, observed = self._truth, self._observed
        yield compare(
            f"{table}: domains",
            columns=COUNT_COLUMNS,
            expected=summed(truth.domain, COUNT_COLUMNS, bucket_s=bucket_s),
            observed=observed.rollup(
                table, "domain", COUNT_COLUMNS, dimensions=DOMAIN_DIMENSIONS, bucket_s=bucket_s
            ),
        )
        yield compare(
            f"{table}: campaigns",
            columns=COUNT_COLUMNS,
            expected=summed(truth.campaign, COUNT_COLUMNS, bucket_s=HOUR_S),
            observed=observed.rollup(
                table, "campaign", COUNT_COLUMNS, dimensions=CAMPAIGN_DIMENSIONS, bucket_s=HOUR_S
            ),
        )
        yield compare(
            f"{table}: bounce reasons",
            columns=("bounce_count",),
            expected=summed(truth.bounces, ("bounce_count",), bucket_s=bucket_s),
            observed=observed.rollup(
                table, "bounce", ("event_count",), dimensions=BOUNCE_DIMENSIONS, bucket_s=bucket_s
            ),
        )
        latency = ("delivered_count", "delayed_count")
        yield compare(
            f"{table}: delivery times",
            columns=latency,
            expected=summed(truth.latency, latency),
            observed=observed.rollup(table, "latency", latency, dimensions=LATENCY_DIMENSIONS, bucket_s=0),
        )
        yield self._uniques(
            f"{table}: unique opens",
            expected=unique_opens(truth, DOMAIN_DIMENSIONS),
            observed=observed.unique_opens(table, "domain", dimensions=DOMAIN_DIMENSIONS, bucket_s=0),
        )
        yield self._uniques(
            f"{table}: unique opens of campaigns",
            expected=summed(truth.unique_opens_campaign, _UNIQUES),
            observed=observed.unique_opens(table, "campaign", dimensions=CAMPAIGN_DIMENSIONS, bucket_s=0),
        )

    def _hourly_uniques(self) -> Iterator[Check]:
        for table, _ in _ROLLUPS:
            yield self._uniques(
                f"{table}: unique opens by hour",
                expected=summed(self._truth.unique_opens_hour, _UNIQUES, bucket_s=HOUR_S),
                observed=self._observed.unique_opens(
                    table, "domain", dimensions=OPEN_RATE_DIMENSIONS, bucket_s=HOUR_S
                ),
            )

    def _uniques(self, name: str, *, expected: Rows, observed: Rows) -> Check:
        agrees = dict.fromkeys(_UNIQUES, self._uniques_agree)
        return compare(name, columns=_UNIQUES, expected=expected, observed=observed, agrees=agrees)

    def _count_views(self) -> Iterator[Check]:
        moments = {"1h": self._after_minute_s, "24h": self._after_minute_s, "7d": self._after_hour_s}
        for window, as_of_s in {**moments, "30d": self._after_hour_s}.items():
            yield compare(
                f"v_domain_counts_at, {window}",
                columns=VIEW_COLUMNS,
                expected=in_window(
                    self._truth, VIEW_COLUMNS, window=window, as_of_s=as_of_s, dimensions=DOMAIN_DIMENSIONS
                ),
                observed=self._observed.view(
                    "v_domain_counts",
                    VIEW_COLUMNS,
                    dimensions=DOMAIN_DIMENSIONS,
                    window=window,
                    as_of_s=as_of_s,
                ),
            )

    def _whole_run_views(self) -> Iterator[Check]:
        """Compare what can be told exactly only for a window that holds the whole run."""
        yield self._view(
            "v_domain_counts",
            DOMAIN_DIMENSIONS,
            {"human_open_count": self._uniques_agree},
            _column(unique_opens(self._truth, DOMAIN_DIMENSIONS), 1),
        )
        yield self._open_rates()
        yield self._campaigns()
        yield self._bounce_reasons()
        yield self._latencies()
        yield self._pools()

    def _open_rates(self) -> Check:
        delivered = summed(self._truth.domain, ("delivered_count",), dimensions=OPEN_RATE_DIMENSIONS)
        uniques = unique_opens(self._truth, OPEN_RATE_DIMENSIONS)
        expected: Rows = {
            key: (
                number := delivered.get(key, (0,))[0],
                human := uniques.get(key, (0, 0))[1],
                _share(human, number),
            )
            for key in delivered.keys() | uniques.keys()
        }
        estimate = self._uniques_agree
        # A rate is as good as the estimate above its line; the same share covers the exact ones.
        rules = {"human_open_count": estimate, "open_rate": within(SKETCH_ERROR)}
        rules = {"delivered_count": exactly, **rules}
        return self._view("v_open_rate", OPEN_RATE_DIMENSIONS, rules, expected)

    def _campaigns(self) -> Check:
        columns = (
            "delivered_count",
            "open_count",
            "complaint_count",
            "unsubscribe_count",
            "refusal_count",
        )
        counts = summed(self._truth.campaign, columns)
        uniques = summed(self._truth.unique_opens_campaign, _UNIQUES)
        expected: Rows = {key: (*row, uniques.get(key, (0, 0))[1]) for key, row in counts.items()}
        names = (*columns, "human_open_count")
        rules = {**dict.fromkeys(names, exactly), "human_open_count": self._uniques_agree}
        return self._view("v_campaign", CAMPAIGN_DIMENSIONS, rules, expected)

    def _bounce_reasons(self) -> Check:
        counts = summed(self._truth.bounces, ("bounce_count",))
        totals = summed(self._truth.bounces, ("bounce_count",), dimensions=BOUNCE_DIMENSIONS[:2])
        expected: Rows = {
            (bucket, group): (row[0], _share(row[0], totals[bucket, group[:2]][0]))
            for (bucket, group), row in counts.items()
        }
        rules = {"bounce_count": exactly, "share_rate": within(1e-9)}
        return self._view("v_bounce_reasons", BOUNCE_DIMENSIONS, rules, expected)

    def _latencies(self) -> Check:
        names = tuple(self._truth.latency.columns)
        rules = {name: self._latency_agrees if name.startswith("p") else exactly for name in names}
        return self._view("v_delivery_latency", LATENCY_DIMENSIONS, rules, summed(self._truth.latency, names))

    def _pools(self) -> Check:
        dimensions = ("account_id", "sender_domain", "ip_pool", "ip_pool_kind")
        counts = summed(
            self._truth.domain,
            ("delivered_count", "hard_bounce_count", "soft_bounce_count"),
            dimensions=dimensions,
            keep=lambda group: group[2] != "",
        )
        expected: Rows = {
            key: (row[0], _share(row[1], sum(n or 0 for n in row))) for key, row in counts.items()
        }
        rules = {"own_delivered_count": exactly, "own_hard_bounce_rate": within(1e-9)}
        return self._view("v_ip_pool", dimensions, rules, expected)

    def _view(
        self,
        view: str,
        dimensions: tuple[str, ...],
        rules: dict[str, Callable[[float | int | None, float | int | None], bool]],
        expected: Rows,
    ) -> Check:
        as_of_s = self._after_hour_s
        observed = self._observed.view(
            view, tuple(rules), dimensions=dimensions, window="30d", as_of_s=as_of_s
        )
        name = f"{view}_at, whole run" + (" (unique opens)" if view == "v_domain_counts" else "")
        return compare(name, columns=tuple(rules), expected=expected, observed=observed, agrees=rules)

    def _repairs(self) -> Check:
        return expect(
            "hours that wait for a repair",
            expected={"pending": 0},
            observed={"pending": self._observed.pending_repairs()},
        )


def _raw_check(raw: RawEvents, truth: Truth) -> Check:
    """Return what is missing, double or unknown in the raw table.

    Repeats that went to another partition stay in the raw table for good: they are no difference there, only
    in rollups that nobody repaired. Anything stored twice from one place of the log always is.
    """
    wrong = []
    if raw.missing_count:
        wrong.append(f"{raw.missing_count:,} events are missing: {', '.join(raw.missing)}")
    if raw.twice:
        wrong.append(f"{raw.twice:,} rows were stored twice from the same place of the log")
    if raw.unexpected:
        wrong.append(f"{raw.unexpected:,} rows are of events that are invalid")
    note = ""
    if raw.repeats and truth.plan["key"] == "none":
        note = f"{raw.repeats:,} repeats on other partitions"
    elif raw.repeats:
        wrong.append(f"{raw.repeats:,} repeats were stored beside their original")
    return Check("raw events", raw.rows, len(wrong), wrong, note)


def _share(part: float | None, whole: float | None) -> float | None:
    """Return a rate as the views define it: none without a denominator, at most 1."""
    return min(1.0, (part or 0) / whole) if whole else None


def _column(rows: Rows, place: int) -> Rows:
    return {key: (row[place],) for key, row in rows.items()}
