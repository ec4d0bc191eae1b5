"""The memory of event ids seen lately, in a bounded number of bytes.

An id is kept as its 64-bit xxHash: 16 bytes an id at most, in two generations of an open-addressing table. The
chance that two of 4 million ids share a hash is about 4e-7. ClickHouse computes the same hash, so the memory is
loaded again without moving the ids themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

_EMPTY: Final = np.uint64(0)
_SMALLEST: Final = 1 << 10


def hash_ids(event_ids: Iterable[str]) -> Hashes:
    """Return the xxHash64 of each id; equal to ClickHouse's `xxHash64(event_id)`, with 0 moved to 1."""
    digest = xxhash.xxh64_intdigest
    hashes = np.array(
        [digest(event_id.encode("utf-8", "surrogatepass")) for event_id in event_ids], dtype=np.uint64
    )
    hashes[hashes == _EMPTY] = 1
    return hashes


def _distinct(hashes: Hashes) -> Hashes:
    """Return the hashes sorted, each once: `np.unique`, which takes forty times as long for millions (numpy 2.4)."""
    ordered = np.sort(hashes)
    is_first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return ordered[is_first]


class HashTable:
    """A growing set of 64-bit hashes with linear probing, in whole batches."""

    def __init__(self) -> None:
        self._count = 0
        self._allocate(_SMALLEST)

    def __len__(self) -> int:
        return self._count

    def contains(self, hashes: Hashes) -> Mask:
        """Return for each hash whether it is in the set."""
        slots, mask = self._slots, np.uint64(len(self._slots) - 1)
        place = hashes >> self._shift
        found = slots[place]
        result: Mask = found == hashes
        open_ = np.flatnonzero((found != _EMPTY) & ~result)
        while len(open_):
            place[open_] = (place[open_] + np.uint64(1)) & mask
            found = slots[place[open_]]
            hit = found == hashes[open_]
            result[open_[hit]] = True
            open_ = open_[(found != _EMPTY) & ~hit]
        return result

    def add(self, hashes: Hashes) -> None:
        """Add hashes; those already there change nothing."""
        fresh = _distinct(hashes)
        self.add_new(fresh[~self.contains(fresh)])

    def add_new(self, hashes: Hashes) -> None:
        """Add hashes that are distinct and known not to be in the set."""
        wanted = (self._count + len(hashes)) * 2
        if wanted > len(self._slots):
            kept = self._slots[self._slots != _EMPTY]
            self._allocate(1 << (wanted - 1).bit_length())
            self._place(kept)
        self._place(hashes)
        self._count += len(hashes)

    def _allocate(self, slot_count: int) -> None:
        self._slots: Hashes = np.zeros(slot_count, dtype=np.uint64)
        # A slot is chosen by the highest bits: sorted hashes then walk through memory in order (three times
        # faster for millions).
        self._shift = np.uint64(64 - (slot_count.bit_length() - 1))

    def _place(self, hashes: Hashes) -> None:
        slots, mask = self._slots, np.uint64(len(self._slots) - 1)
        left = hashes
        place = left >> self._shift
        while len(left):
            free = slots[place] == _EMPTY
            # Several hashes may want one free slot: all write, one stays, the others see it and go on.
            slots[place[free]] = left[free]
            lost = slots[place] != left
            left, place = left[lost], (place[lost] + np.uint64(1)) & mask


class SeenIds:
    """Ids of one partition, remembered for at least `window_s` or until `max_ids` newer ones came.

    Two generations: when the younger is half of `max_ids` or older than the window, it becomes the elder and the
    former elder is forgotten.
    """

    def __init__(self, *, max_ids: int, window_s: float, now_s: float) -> None:
        self._half = max(1, max_ids // 2)
        self._window_s = window_s
        self._young, self._old = HashTable(), HashTable()
        self._young_since_s = now_s

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def contains(self, hashes: Hashes) -> Mask:
        """Return for each hash whether it was seen before."""
        seen = self._young.contains(hashes)
        return seen | self._old.contains(hashes) if len(self._old) else seen

    def add(self, hashes: Hashes, *, now_s: float) -> None:
        """Remember hashes as seen at `now_s`."""
        self._turn(now_s)
        self._young.add(hashes)

    def first_of_each(self, hashes: Hashes, *, now_s: float) -> Mask:
        """Return which hashes are new, the first of equal ones only, and remember them."""
        self._turn(now_s)
        distinct, first = np.unique(hashes, return_index=True)
        new = ~self.contains(distinct)
        self._young.add_new(distinct[new])
        result = np.zeros(len(hashes), dtype=np.bool_)
        result[first[new]] = True
        return result

    def _turn(self, now_s: float) -> None:
        if len(self._young) >= self._half or now_s - self._young_since_s >= self._window_s:
            self._old, self._young, self._young_since_s = self._young, HashTable(), now_s
