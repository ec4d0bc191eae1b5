"""Deliveries a second of one sender, beside a bare aiohttp loop that posts the same bytes, in turns.

The receiver is a process of its own that answers 200 without reading more than it must: what is measured is the sender.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

from aiohttp import ClientSession, TCPConnector

from bench.webhooks.receiver import receiving
from postloop.adapters.webhook_http import WebhookSender
from postloop.adapters.webhook_keys import generate_secret, signer_of
from postloop.adapters.webhook_line import Destination
from postloop.domain.webhook.addresses import parse_networks
from postloop.domain.webhook.target import parse_target


@dataclass(frozen=True)
class Round:
    """One turn of both; deliveries a second, and the sender's CPU time of one delivery."""

    bare_per_s: float
    sender_per_s: float
    bare_cpu_us: float
    sender_cpu_us: float


@dataclass(frozen=True)
class Figures:
    """The medians over all rounds; `ratio` is the median of the rounds' own."""

    rounds: list[Round]
    bare_per_s: float
    sender_per_s: float
    ratio: float


def measure(*, count: int, rounds: int, concurrency: int, endpoints: int, body_bytes: int) -> Figures:
    """Measure `rounds` turns of `count` deliveries each."""
    with receiving() as receiver:
        url = receiver.url("/hook")
        done = asyncio.run(_rounds(url, count, rounds, concurrency, endpoints, body_bytes))
    return Figures(
        rounds=done,
        bare_per_s=statistics.median(r.bare_per_s for r in done),
        sender_per_s=statistics.median(r.sender_per_s for r in done),
        ratio=statistics.median(r.sender_per_s / r.bare_per_s for r in done),
    )


async def _rounds(
    url: str, count: int, rounds: int, concurrency: int, endpoints: int, body_bytes: int
) -> list[Round]:
    body = b'{"type":"email.bounced","data":"' + b"x" * (body_bytes - 34) + b'"}'
    done = []
    async with ClientSession(connector=TCPConnector(limit=0)) as session, WebhookSender() as sender:
        bare = _bare(session, url, body)
        ours = _sender(sender, url, body, endpoints)
        for post in (bare, ours):
            await _timed(post, count // 10, concurrency)
        for number in range(rounds):
            if number % 2:
                theirs_figures = await _timed(bare, count, concurrency)
                our_figures = await _timed(ours, count, concurrency)
            else:
                our_figures = await _timed(ours, count, concurrency)
                theirs_figures = await _timed(bare, count, concurrency)
            done.append(Round(theirs_figures[0], our_figures[0], theirs_figures[1], our_figures[1]))
    return done


Post = Callable[[int], Awaitable[bool]]


def _bare(session: ClientSession, url: str, body: bytes) -> Post:
    headers = {"Content-Type": "application/json"}

    async def post(_: int) -> bool:
        async with session.post(url, data=body, headers=headers) as response:
            await response.read()
            return response.status == 200

    return post


def _sender(sender: WebhookSender, url: str, body: bytes, endpoints: int) -> Post:
    target, allowed = parse_target(url), parse_networks(["127.0.0.0/8"])
    to = [Destination(endpoint_id=f"ep_{n}", target=target, allowed=allowed) for n in range(endpoints)]
    signers = [signer_of(generate_secret())]

    async def post(number: int) -> bool:
        destination = to[number % endpoints]
        result = await sender.send(destination, message_id=f"msg_{number}", body=body, signers=signers)
        return result.is_success

    return post


async def _timed(post: Post, count: int, concurrency: int) -> tuple[float, float]:
    """Return deliveries a second and the CPU time of one in µs. Every delivery must succeed."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            if not await post(number):
                raise RuntimeError(f"delivery {number} failed")

    started_s, cpu_s = perf_counter(), _cpu_s()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return count / (perf_counter() - started_s), (_cpu_s() - cpu_s) / count * 1e6


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
