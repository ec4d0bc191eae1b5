"""Processes that are forked from one that has imported everything."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from postloop.embedded.child import Child, ChildSpec
from postloop.embedded.forks import Fork, Nursery, NurseryError
from postloop.embedded.stack import PRELOADED

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not Nursery.is_possible(), reason="only Linux ends children with their parents"),
]
PROGRAM = "tests.support.forked_program"


@pytest.fixture
async def nursery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Nursery]:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    # `this` prints when it is imported.
    started = Nursery(["this", "tests.support.ports:free_port"], path=tmp_path / "logs" / "nursery.log")
    await started.start()
    yield started
    await started.stop()


Run = Callable[..., Awaitable[Fork]]


@pytest.fixture
def run(nursery: Nursery, tmp_path: Path) -> Run:
    async def fork(*arguments: str, **environment: str) -> Fork:
        return await nursery.fork(PROGRAM, arguments, environment=environment, path=log_of(tmp_path))

    return fork


def log_of(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "part.log"


async def becomes(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_fork_has_its_own_environment_session_and_log(run: Run, tmp_path: Path) -> None:
    for word in ("first", "second"):
        assert await (await run("tell", WORD=word)).wait() == 0
    assert log_of(tmp_path).read_text().splitlines() == ["first None True True", "second None True True"]


async def test_how_it_ends_is_told(run: Run, tmp_path: Path) -> None:
    assert await (await run("exit", "3")).wait() == 3
    failed = await run("fail")
    assert (await failed.wait(), failed.returncode) == (1, 1)
    assert log_of(tmp_path).read_text().splitlines()[-1] == "ValueError: on purpose"
    waiting = await run("wait")
    assert waiting.returncode is None
    await becomes(lambda: log_of(tmp_path).read_text().endswith("waiting\n"))
    waiting.send_signal(signal.SIGTERM)
    assert await waiting.wait() == -signal.SIGTERM


async def test_who_is_told_to_end_at_once_does(run: Run) -> None:
    for _ in range(20):
        fork = await run("wait")
        fork.send_signal(signal.SIGTERM)
        assert await fork.wait() == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_for_every_process_is_not_for_the_nursery(run: Run, number: signal.Signals) -> None:
    fork = await run("wait")
    os.kill(psutil.Process(fork.pid).ppid(), number)
    assert await (await run("exit", "5")).wait() == 5
    assert fork.returncode is None
    fork.send_signal(signal.SIGKILL)
    assert await fork.wait() == -signal.SIGKILL


async def test_what_a_stack_imports_starts_no_thread(tmp_path: Path) -> None:
    nursery = Nursery(PRELOADED, path=tmp_path / "nursery.log")
    await nursery.start()
    fork = await nursery.fork(PROGRAM, ["wait"], environment=os.environ, path=log_of(tmp_path))
    assert psutil.Process(psutil.Process(fork.pid).ppid()).num_threads() == 1
    await nursery.stop()
    assert (tmp_path / "nursery.log").read_text() == ""


async def test_many_at_once_are_told_apart(run: Run) -> None:
    forks = await asyncio.gather(*(run("exit", str(code)) for code in range(20)))
    assert await asyncio.gather(*(fork.wait() for fork in forks)) == list(range(20))


async def test_it_goes_by_the_name_of_its_command(run: Run) -> None:
    fork = await run("wait", "and", "see")
    await becomes(lambda: PROGRAM in " ".join(psutil.Process(fork.pid).cmdline()))
    words = " ".join(psutil.Process(fork.pid).cmdline()).split()
    assert words == [sys.executable, "-m", PROGRAM, "wait", "and", "see"]
    fork.send_signal(signal.SIGKILL)
    assert await fork.wait() == -signal.SIGKILL


async def test_what_nobody_waits_for_any_more_does_not_run(
    nursery: Nursery, run: Run, tmp_path: Path
) -> None:
    asking = asyncio.create_task(run("wait"))
    await asyncio.sleep(0)  # the request is on its way
    asking.cancel()
    first = await run("exit", "0")
    assert await first.wait() == 0
    parent = psutil.Process(os.getpid()).children()
    (forking,) = [one for one in parent if "nursery" in " ".join(one.cmdline())]
    await becomes(lambda: not forking.children())


async def test_with_the_nursery_all_that_it_forked_ends_and_nothing_is_forked_any_more(
    nursery: Nursery, run: Run
) -> None:
    forks = [await run("wait") for _ in range(3)]
    parent = psutil.Process(forks[0].pid).ppid()
    os.kill(parent, signal.SIGKILL)
    assert await asyncio.gather(*(fork.wait() for fork in forks)) == [-signal.SIGKILL] * 3
    assert {fork.reason.partition(" (log: ")[0] for fork in forks} == {
        "ended with the process it was forked from"
    }
    await becomes(lambda: all(is_gone(fork.pid) for fork in forks))
    with pytest.raises(NurseryError):
        await run("wait")


async def test_a_stop_ends_what_still_runs(nursery: Nursery, run: Run) -> None:
    fork = await run("wait")
    await nursery.stop()
    assert await fork.wait() == -signal.SIGKILL
    await becomes(lambda: is_gone(fork.pid))


async def test_what_cannot_be_imported_is_told(tmp_path: Path) -> None:
    nursery = Nursery(["there_is_no_such_module"], path=tmp_path / "nursery.log")
    await nursery.start()
    with pytest.raises(NurseryError, match="the nursery"):
        await nursery.fork(PROGRAM, ["wait"], environment={}, path=log_of(tmp_path))
    with pytest.raises(NurseryError, match="there_is_no_such_module"):
        await nursery.fork(PROGRAM, ["wait"], environment={}, path=log_of(tmp_path))
    await nursery.stop()


@pytest.mark.parametrize("nursery_runs", [True, False])
async def test_a_part_starts_with_the_nursery_and_without(
    nursery: Nursery, tmp_path: Path, nursery_runs: bool
) -> None:
    async def works() -> bool:
        return log_of(tmp_path).exists() and "waiting" in log_of(tmp_path).read_text()

    if not nursery_runs:
        await nursery.stop()
    command = (sys.executable, "-m", PROGRAM, "wait")
    child = Child(ChildSpec("part", command, log_of(tmp_path), probe=works, is_forked=True), nursery)
    await child.start()
    assert await child.wait_ready()
    assert child.pid is not None
    assert (psutil.Process(child.pid).ppid() == os.getpid()) != nursery_runs
    assert await child.stop()
    assert child.reason().startswith("killed by SIGTERM")
