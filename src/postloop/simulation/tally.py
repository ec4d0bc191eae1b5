"""Counts what the simulator meant to produce, without any of the product's counting code."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from typing import Final, NamedTuple

from postloop.simulation.columns import HARD_BOUNCE, SOFT_BOUNCE
from postloop.simulation.drafts import Draft, Message

COLUMN_RADIX: Final = 16
MAILBOX_RADIX: Final = 64
STREAM_RADIX: Final = 1 << 20
CAMPAIGN_RADIX: Final = 16
_HOUR_MS: Final = 3_600_000


class Opening(NamedTuple):
    """One open: which copy of which message, when."""

    serial: int
    stream: int
    mailbox: int
    campaign: int
    hour: int
    is_human: bool


class Bounced(NamedTuple):
    """Final bounces that are counted together."""

    minute: int
    stream: int
    mailbox: int
    reason: str
    is_hard: bool


class Tally:
    """The counters of one run.

    A counter's key is one integer made of its dimensions (`cell` and `campaign_cell` take it apart again): a
    run has nearly as many counters as events.
    """

    def __init__(self) -> None:
        self.events = 0
        self.by_type: Counter[str] = Counter()
        self.bounces_by_reason: Counter[str] = Counter()
        self.bounces: Counter[Bounced] = Counter()
        self.disturbances: Counter[str] = Counter()
        self.invalid: Counter[str] = Counter()
        self.dead_letters_by_type: Counter[str] = Counter()
        self.cells: defaultdict[int, int] = defaultdict(int)
        self.campaign_cells: defaultdict[int, int] = defaultdict(int)
        self.latencies_ms: defaultdict[tuple[int, int], array[int]] = defaultdict(lambda: array("I"))
        self.openings: list[Opening] = []
        self.first_ms = 1 << 62
        self.last_ms = 0

    def count(self, draft: Draft, message: Message, occurred_ms: int) -> None:
        """Count one distinct valid event that happened at a moment."""
        self.events += 1
        self.by_type[draft.kind] += 1
        self.first_ms = min(self.first_ms, occurred_ms)
        self.last_ms = max(self.last_ms, occurred_ms)
        stream = message.stream.number
        base = (
            (occurred_ms // 60_000 * STREAM_RADIX + stream) * MAILBOX_RADIX + message.mailbox
        ) * COLUMN_RADIX
        for column in draft.counts:
            self.cells[base + column] += 1
        hour = occurred_ms // _HOUR_MS
        base = ((hour * STREAM_RADIX + stream) * CAMPAIGN_RADIX + message.campaign) * COLUMN_RADIX
        for column in draft.counts:
            self.campaign_cells[base + column] += 1
        if draft.latency_ms >= 0:
            self.latencies_ms[stream, message.mailbox].append(draft.latency_ms)
        elif draft.reason:
            self.bounces_by_reason[draft.reason] += 1
            if draft.counts[0] in (HARD_BOUNCE, SOFT_BOUNCE):
                minute, is_hard = occurred_ms // 60_000, draft.counts[0] == HARD_BOUNCE
                self.bounces[Bounced(minute, stream, message.mailbox, draft.reason, is_hard)] += 1
        elif draft.kind == "open":
            opening = Opening(message.serial, stream, message.mailbox, message.campaign, hour, draft.is_human)
            self.openings.append(opening)


def cell(key: int) -> tuple[int, int, int, int]:
    """Return minute, stream, mailbox and column of a key of `Tally.cells`."""
    key, column = divmod(key, COLUMN_RADIX)
    key, mailbox = divmod(key, MAILBOX_RADIX)
    minute, stream = divmod(key, STREAM_RADIX)
    return minute, stream, mailbox, column


def campaign_cell(key: int) -> tuple[int, int, int, int]:
    """Return hour, stream, campaign and column of a key of `Tally.campaign_cells`."""
    key, column = divmod(key, COLUMN_RADIX)
    key, campaign = divmod(key, CAMPAIGN_RADIX)
    hour, stream = divmod(key, STREAM_RADIX)
    return hour, stream, campaign, column
