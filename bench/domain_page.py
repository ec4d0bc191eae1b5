"""How long the page of a sender domain takes over HTTP, with many events stored and others coming in.

The loop is open: a page is asked for on time whatever became of those before. No page is asked for again while the API
would repeat its answer: each is made.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from aiohttp import ClientSession, TCPConnector

from bench.latency import Latency, summarize
from bench.lookup import fill
from bench.open_loop import ask_on_time
from bench.processes import BenchError, Process, free_port, wait_until
from bench.stack import clean_environment, clickhouse, data_directory
from postloop.adapters.clickhouse import connect
from postloop.settings import Settings

_READY_S: Final = 120.0
_POSTLOOP: Final = (str(Path(sys.executable).with_name("postloop")),)


@dataclass(frozen=True, kw_only=True)
class PagePlan:
    """What is stored, what comes in, and what is asked for.

    Attributes:
        event_count: Raw events of 30 days that are stored before.
        rate_per_s: Events a second that come in meanwhile; 0 for none.
        warm_up_s: How long they do before the first page is asked for.
        pages_per_s: Pages asked for a second.
        page_count: Of different domains, as far as there are so many.
    """

    event_count: int
    rate_per_s: int
    warm_up_s: float
    pages_per_s: float
    page_count: int


@dataclass(frozen=True, kw_only=True)
class Pages:
    """From the moment at which a page was due; `failed` answers were none of 200."""

    latency: Latency
    failed: int


def measure(plan: PagePlan, directory: Path, *, say: Callable[[str], None]) -> Pages:
    """Store events unless `directory` has some, run the whole stack on it with events coming in, and ask for pages.

    Raises:
        BenchError: The stack did not start.
    """
    if not data_directory(directory).exists():
        say(f"storing {plan.event_count:,} events ...")
        with clickhouse(directory) as store:
            fill(
                Settings(_env_file=None, clickhouse_url=f"http://127.0.0.1:{store.port}"),
                event_count=plan.event_count,
            )
    ports = [str(free_port()) for _ in range(3)]
    argv = [*_POSTLOOP, "up", "--json", "--data-dir", str(directory)]
    for name, port in zip(("kafka", "clickhouse", "api"), ports, strict=True):
        argv += [f"--{name}-port", port]
    env = clean_environment()
    with Process(argv, log_path=directory / "up.log", env=env, cwd=directory) as stack:
        wait_until(
            lambda: '"event": "ready"' in stack.log(), what="the stack", process=stack, timeout_s=_READY_S
        )
        say("the stack is ready")
        key = _key(directory)
        pairs = _pairs(ports[1], plan.page_count)
        with _incoming(plan, directory) if plan.rate_per_s else nullcontext():
            found = asyncio.run(_ask(plan, f"http://127.0.0.1:{ports[2]}", key, pairs, say))
        stack.stop()
    return found


def _key(directory: Path) -> str:
    argv = [*_POSTLOOP, "key", "create", "--operator", "--json", "--data-dir", str(directory)]
    done = subprocess.run(
        argv, capture_output=True, text=True, env=clean_environment(), cwd=directory, check=False
    )
    if done.returncode:
        raise BenchError(f"postloop key create: {done.stderr.strip()}")
    key: str = json.loads(done.stdout)["key"]
    return key


def _pairs(clickhouse_port: str, count: int) -> list[tuple[str, str]]:
    """Return pairs of account and sender domain, those with more mail more likely, none twice."""
    client = connect(Settings(_env_file=None, clickhouse_url=f"http://127.0.0.1:{clickhouse_port}"))
    rows = client.query(
        "SELECT account_id, sender_domain FROM events WHERE event_type = 'send' AND account_id LIKE 'a%' "
        "AND sender_domain LIKE 'd%' ORDER BY cityHash64(event_id) LIMIT 1 BY account_id, sender_domain "
        f"LIMIT {count}"
    ).result_rows
    pairs = [(row[0], row[1]) for row in rows]
    random.Random(1).shuffle(pairs)
    return pairs


def _incoming(plan: PagePlan, directory: Path) -> Process:
    seconds = plan.warm_up_s + plan.page_count / plan.pages_per_s + 30
    argv = [*_POSTLOOP, "simulate", "--data-dir", str(directory), "--seed", "1"]
    argv += ["--events", str(int(plan.rate_per_s * seconds)), "--rate", str(plan.rate_per_s)]
    return Process(argv, log_path=directory / "simulate.log", env=clean_environment(), cwd=directory)


async def _ask(
    plan: PagePlan, url: str, key: str, pairs: Sequence[tuple[str, str]], say: Callable[[str], None]
) -> Pages:
    headers = {"Authorization": f"Bearer {key}"}
    async with ClientSession(url, headers=headers, connector=TCPConnector(limit=0)) as session:
        await asyncio.sleep(plan.warm_up_s)

        async def ask(number: int, due_s: float) -> tuple[float, int]:
            if number % 50 == 49:
                say(f"{number + 1} pages asked for")
            return await _timed(session, pairs[number % len(pairs)], due_s)

        answers = await ask_on_time(ask, count=plan.page_count, per_s=plan.pages_per_s)
    return Pages(
        latency=summarize([ms for ms, _ in answers]), failed=sum(status != 200 for _, status in answers)
    )


async def _timed(session: ClientSession, pair: tuple[str, str], due_s: float) -> tuple[float, int]:
    account, domain = pair
    async with session.get(f"/v1/domains/{domain}", params={"account_id": account}) as answer:
        await answer.read()
        return (perf_counter() - due_s) * 1000, answer.status
