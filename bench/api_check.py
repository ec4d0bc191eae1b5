"""How long `POST /v1/blocklist/check` takes at a steady rate, asked of an API that runs already.

The loop is open: requests leave on time whatever became of those before, and each is timed from the moment at which it
was due, so that a stall counts for all who would have come during it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from aiohttp import ClientSession, TCPConnector

from bench.open_loop import ask_on_time

_LEAD_S: Final = 0.5


@dataclass(frozen=True)
class Figures:
    """Latencies in milliseconds; `failed` answers were none of 200."""

    requests: int
    failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


async def measure(url: str, *, key: str, pairs: int, rate: float, seconds: float, seed: int = 1) -> Figures:
    """Ask at `rate` requests a second for `seconds`, with `pairs` pairs each."""
    rng = random.Random(seed)
    bodies = [_body(rng, pairs) for _ in range(50)]
    headers = {"Authorization": f"Bearer {key}"}
    async with ClientSession(url, headers=headers, connector=TCPConnector(limit=0)) as session:
        await _timed(session, bodies[0], perf_counter())  # connected, and the list is read
        count = int(rate * seconds)
        answers = await ask_on_time(
            lambda number, due_s: _timed(session, bodies[number % len(bodies)], due_s),
            count=count,
            per_s=rate,
            lead_s=_LEAD_S,
        )
    times_ms = sorted(ms for ms, _ in answers)

    def at(share: float) -> float:
        return times_ms[min(count - 1, int(count * share))]

    failed = sum(status != 200 for _, status in answers)
    return Figures(count, failed, at(0.5), at(0.95), at(0.99), times_ms[-1])


async def _timed(session: ClientSession, body: dict[str, Any], due_s: float) -> tuple[float, int]:
    async with session.post("/v1/blocklist/check", json=body) as answer:
        await answer.read()
        return (perf_counter() - due_s) * 1000, answer.status


def _body(rng: random.Random, pairs: int) -> dict[str, Any]:
    names = (f"user{rng.randrange(10**7)}@mail{rng.randrange(50)}.example" for _ in range(pairs))
    return {"pairs": [{"sender_domain": "shop.example", "recipient": name} for name in names]}
