"""The truth file: what a simulation wrote, as the numbers that ClickHouse must show."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from postloop.domain.errors import PostloopError

FORMAT: Final = "postloop-truth"
VERSION: Final = 2

DOMAIN_DIMENSIONS: Final = (
    "account_id",
    "sender_domain",
    "mailbox_provider",
    "ip_pool",
    "ip_pool_kind",
    "mail_class",
)
CAMPAIGN_DIMENSIONS: Final = ("account_id", "sender_domain", "campaign_id", "template_id")
LATENCY_DIMENSIONS: Final = ("account_id", "sender_domain", "mailbox_provider")
BOUNCE_DIMENSIONS: Final = ("account_id", "sender_domain", "mailbox_provider", "reason", "hard", "fault")
OPEN_RATE_DIMENSIONS: Final = ("account_id", "sender_domain", "mail_class")

Key = tuple[str | int, ...]


class TruthError(PostloopError):
    """A truth file cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A table kept by columns.

    Attributes:
        dimensions: Names of the text columns of `groups`.
        groups: The different combinations of dimensions.
        bucket_s: Length of a bucket in seconds, 0 where a row covers the whole run.
        buckets: Start of each row's bucket in seconds since 1970; empty where bucket_s is 0.
        places: Each row's place in `groups`.
        columns: The numbers of each row, by name.
    """

    dimensions: tuple[str, ...]
    groups: list[tuple[str, ...]]
    bucket_s: int
    buckets: list[int]
    places: list[int]
    columns: dict[str, list[float]]

    def rows(self) -> Iterator[tuple[int, tuple[str, ...], tuple[float, ...]]]:
        """Yield bucket (0 for the whole run), dimensions and numbers of every row."""
        buckets = self.buckets if self.bucket_s else [0] * len(self.places)
        for bucket, place, numbers in zip(
            buckets, self.places, zip(*self.columns.values(), strict=True), strict=True
        ):
            yield bucket, self.groups[place], numbers

    @classmethod
    def read(cls, value: dict[str, Any]) -> Counts:
        """Return the table of a part of a truth file."""
        known = {field.name: value[field.name] for field in fields(cls)}
        known["dimensions"] = tuple(known["dimensions"])
        known["groups"] = [tuple(group) for group in known["groups"]]
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Everything that is expected after one simulation.

    Attributes:
        run, event_id_prefix, key_prefix: Mark what belongs to the run.
        plan: The options that it was asked with.
        first_event_at, last_event_at: Smallest and largest `occurred_at`, ms since 1970.
        totals: events (distinct, valid), by_type, bounces_by_reason, disturbances, invalid by reason,
            dead_letters, dead_letters_by_type.
        domain: Per minute, account, domain, provider, pool and class: the counters of `v_domain_counts`.
        campaign: Per hour, account, domain, campaign and template: the same counters.
        bounces: Per minute, account, domain, provider, reason, hard (`true` or `false`) and fault: final bounces.
        latency: Per account, domain and provider over the run: deliveries with a known sending time, how many
            were delayed, and their exact percentiles (nearest rank) in seconds.
        unique_opens: Per the dimensions of `domain` over the run: copies of messages opened, and by a person.
        unique_opens_hour: Per hour, account, domain and class.
        unique_opens_campaign: Per account, domain, campaign and template over the run.
    """

    run: str
    event_id_prefix: str
    key_prefix: str
    plan: dict[str, Any]
    accounts: list[str]
    first_event_at: int
    last_event_at: int
    totals: dict[str, Any]
    domain: Counts
    campaign: Counts
    bounces: Counts
    latency: Counts
    unique_opens: Counts
    unique_opens_hour: Counts
    unique_opens_campaign: Counts

    @property
    def events(self) -> int:
        """Distinct valid events."""
        return int(self.totals["events"])

    @property
    def dead_letters(self) -> int:
        """Dead letters that the run must lead to."""
        return int(self.totals["dead_letters"])


def write_truth(truth: Truth, path: Path) -> None:
    """Write a truth file, compressed when its name ends in `.gz`.

    Raises:
        TruthError: The file cannot be written.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **asdict(truth)}, separators=(",", ":"))
    data = text.encode()
    try:
        # No time stamp and no name inside: the same run gives the same bytes.
        path.write_bytes(gzip.compress(data, 6, mtime=0) if path.suffix == ".gz" else data)
    except OSError as error:
        raise TruthError(f"cannot write {path}: {error.strerror}") from error


def read_truth(path: Path) -> Truth:
    """Return the truth of a file.

    Raises:
        TruthError: No such file, no truth file, or one of another version.
    """
    try:
        data = path.read_bytes()
        value = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except OSError as error:
        raise TruthError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, EOFError) as error:
        raise TruthError(f"{path} is no truth file: {error}") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise TruthError(f"{path} is no truth file: write one with `postloop simulate --truth {path}`")
    if value.get("version") != VERSION:
        raise TruthError(
            f"{path} is a truth file of version {value.get('version')}, this program reads {VERSION}"
        )
    try:
        return _truth(value)
    except (KeyError, TypeError, AttributeError) as error:
        raise TruthError(f"{path} is not a whole truth file: {error} is missing or wrong") from error


def _truth(value: dict[str, Any]) -> Truth:
    known: dict[str, Any] = {field.name: value[field.name] for field in fields(Truth)}
    for name in (
        "domain",
        "campaign",
        "bounces",
        "latency",
        "unique_opens",
        "unique_opens_hour",
        "unique_opens_campaign",
    ):
        known[name] = Counts.read(known[name])
    return Truth(**known)
