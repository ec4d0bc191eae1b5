"""How long a verdict on a bounce takes: on the replies of a file, and on the worst texts that can be thought of."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Final

from postloop.cli.classify import bounce_of
from postloop.domain.bounce import Bounce, classify
from postloop.domain.bounce.rulebook import rulebook

FUZZ_CHARS: Final = 100_000


@dataclass(frozen=True)
class CallTimes:
    """Times of one call, over all texts of a set.

    Attributes:
        load_ms: Reading and compiling the rules, once per process.
        median_us, p99_us, longest_us: Over the texts; of each text the fastest round counts.
        count: Texts.
    """

    load_ms: float
    median_us: float
    p99_us: float
    longest_us: float
    count: int


def measure_file(path: Path, *, rounds: int) -> CallTimes:
    """Measure the bounces of a file of JSON lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return measure([bounce_of(json.loads(line)) for line in lines if line.strip()], rounds=rounds)


def measure_fuzz(count: int, *, seed: int, rounds: int) -> CallTimes:
    """Measure made up texts of 100 kB."""
    return measure([Bounce(diagnostic=text) for text in fuzz(count, seed=seed)], rounds=rounds)


def measure(bounces: Sequence[Bounce], *, rounds: int) -> CallTimes:
    """Return the times of `classify`. Between calls the compiled rules are kept, and which words no rule names."""
    rulebook.cache_clear()
    load_ms = _elapsed_us(Bounce(diagnostic="550 5.1.1 no such user")) / 1e3
    best = [min(_elapsed_us(bounce) for _ in range(rounds)) for bounce in bounces]
    best.sort()
    return CallTimes(
        load_ms=load_ms,
        median_us=best[len(best) // 2],
        p99_us=best[min(len(best) - 1, len(best) * 99 // 100)],
        longest_us=best[-1],
        count=len(best),
    )


def fuzz(count: int, *, seed: int) -> Iterator[str]:
    """Yield texts that are made to be expensive: words of the rules, near misses, runs of one thing, any letters."""
    draw = random.Random(seed)
    words = [word for word in rulebook().vocabulary.signs if word.isprintable()]
    runs = [
        "a",
        "5",
        "550-",
        "5.1.1 ",
        ".",
        "@",
        "a.b.",
        "user ",
        "not ",
        "用户",
        "\u0301",
        "İ",
        "no no ",
        "{, b'",
        "a.a",
        "http://a/",
        " for ",
        "\r\n ",
    ]
    for number in range(count):
        kind = number % 4
        if kind == 0:
            yield " ".join(draw.choices(words, k=FUZZ_CHARS // 6))[:FUZZ_CHARS]
        elif kind == 1:
            few = draw.sample(words, k=3)
            yield " ".join(draw.choices(few, k=FUZZ_CHARS // 6))[:FUZZ_CHARS]
        elif kind == 2:
            run = draw.choice(runs)
            yield (run * (FUZZ_CHARS // len(run)))[:FUZZ_CHARS]
        else:
            yield "".join(chr(draw.randrange(0xD800)) for _ in range(FUZZ_CHARS))


def _elapsed_us(bounce: Bounce) -> float:
    started_ns = perf_counter_ns()
    classify(bounce)
    return (perf_counter_ns() - started_ns) / 1e3
