"""Processes are started in order, come back when they die, and are all gone at the end."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.embedded.child import ChildSpec
from postloop.embedded.priority import LATER, STORE
from postloop.embedded.supervisor import LONGEST_PAUSE_S, Change, StartError, Supervisor, pause_after

STAYS = "import signal; signal.pause()"
ENDS = "print('no space left on device'); raise SystemExit(7)"
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
"""


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


class Log:
    def __init__(self) -> None:
        self.changes: list[Change] = []

    def __call__(self, change: Change) -> None:
        self.changes.append(change)

    def of(self, component: str) -> list[str]:
        return [change.event for change in self.changes if change.component == component]

    def pairs(self) -> list[tuple[str, str]]:
        return [(change.event, change.component) for change in self.changes]


async def until(condition: Callable[[], Any], *, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def supervise(tmp_path: Path) -> AsyncIterator[Callable[..., tuple[Supervisor, Log]]]:
    running: list[Supervisor] = []

    def build(*specs: ChildSpec) -> tuple[Supervisor, Log]:
        log = Log()
        running.append(Supervisor(specs, on_change=log))
        return running[-1], log

    yield build
    for supervisor in running:
        await supervisor.stop()


@pytest.fixture
def child(tmp_path: Path) -> Callable[..., ChildSpec]:
    def build(
        name: str, code: str = STAYS, *, probe: Callable[[], Awaitable[bool]] = yes, **more: Any
    ) -> ChildSpec:
        return ChildSpec(name, [sys.executable, "-c", code], tmp_path / f"{name}.log", probe=probe, **more)

    return build


def kill(supervisor: Supervisor, name: str) -> int:
    pid = supervisor.children[name].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


@given(failures=st.integers(1, 10_000))
def test_the_pause_before_a_restart_grows_to_a_limit(failures: int) -> None:
    assert 0 < pause_after(failures) <= pause_after(failures + 1) <= LONGEST_PAUSE_S


async def test_a_child_is_started_when_those_it_needs_are_ready(supervise: Any, child: Any) -> None:
    supervisor, log = supervise(child("a"), child("b", needs=("a",)))
    await supervisor.start()
    assert log.pairs() == [("starting", "a"), ("ready", "a"), ("starting", "b"), ("ready", "b")]
    assert supervisor.all_ready


async def test_children_are_stopped_in_reverse_order_and_none_is_left(supervise: Any, child: Any) -> None:
    supervisor, log = supervise(child("a"), child("b", needs=("a",)))
    await supervisor.start()
    pids = [supervised.pid for supervised in supervisor.children.values()]
    await supervisor.stop()
    assert log.pairs()[-4:] == [("stopping", "b"), ("stopped", "b"), ("stopping", "a"), ("stopped", "a")]
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_a_child_that_is_killed_comes_back_with_the_reason_told(supervise: Any, child: Any) -> None:
    supervisor, log = supervise(child("a"))
    await supervisor.start()
    before = kill(supervisor, "a")
    await until(lambda: log.of("a").count("ready") == 2)
    (ended,) = [change for change in log.changes if change.event == "ended"]
    assert ended.reason == "killed by SIGKILL"
    assert 0 < ended.pause_s < 1
    assert supervisor.children["a"].pid != before
    assert supervisor.restarts == {"a": 1}


async def test_what_depends_on_a_child_is_restarted_after_it(supervise: Any, child: Any) -> None:
    supervisor, log = supervise(child("a"), child("b", needs=("a",), restart_with=("a",)), child("c"))
    await supervisor.start()
    kill(supervisor, "a")
    await until(lambda: log.of("b").count("ready") == 2)
    assert log.of("b") == ["starting", "ready", "restarting", "ended", "starting", "ready"]
    assert log.of("c") == ["starting", "ready"]
    events = log.pairs()
    assert len(events) - 1 - events[::-1].index(("ready", "a")) < len(events) - 1 - events[::-1].index(
        ("starting", "b")
    )


async def test_a_preparation_runs_again_after_each_start(supervise: Any, child: Any) -> None:
    prepared = []

    async def prepare() -> None:
        prepared.append(1)

    supervisor, log = supervise(child("a", prepare=prepare))
    await supervisor.start()
    kill(supervisor, "a")
    await until(lambda: log.of("a").count("ready") == 2)
    assert len(prepared) == 2


async def test_a_preparation_that_could_not_reach_its_child_is_tried_again(
    supervise: Any, child: Any
) -> None:
    tries = []

    async def prepare() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise UnavailableError("not yet")

    supervisor, log = supervise(child("a", prepare=prepare))
    await supervisor.start()
    assert log.of("a") == ["starting", "ended", "starting", "ready"]


async def test_a_preparation_that_is_refused_ends_the_stack(supervise: Any, child: Any) -> None:
    async def prepare() -> None:
        raise RefusedError("no right to create tables")

    supervisor, _ = supervise(child("a", prepare=prepare))
    with pytest.raises(RefusedError, match="no right to create tables"):
        await supervisor.start()


async def test_a_child_that_never_comes_up_ends_the_stack_with_its_last_words(
    supervise: Any, child: Any
) -> None:
    supervisor, log = supervise(child("a", ENDS, probe=no))
    with pytest.raises(
        StartError, match=r"a does not start: exit code 7: no space left on device \(log: .*a\.log\)"
    ):
        await supervisor.start()
    assert log.of("a").count("starting") == 4


async def test_a_child_that_does_not_become_ready_in_time_is_killed(supervise: Any, child: Any) -> None:
    supervisor, _ = supervise(child("a", probe=no, ready_s=0.1))
    with pytest.raises(StartError, match=r"not ready after 0\.1 s"):
        await supervisor.start()
    assert not supervisor.children["a"].is_running


async def test_a_child_that_does_not_listen_is_killed_when_its_time_is_over(
    supervise: Any, child: Any, tmp_path: Path
) -> None:
    async def is_deaf() -> bool:
        return "deaf" in (tmp_path / "a.log").read_text()

    supervisor, log = supervise(child("a", DEAF, probe=is_deaf, stop_s=0.2))
    await supervisor.start()
    await supervisor.stop()
    assert log.changes[-1] == Change("stopped", "a", "killed after 0.2 s")


async def test_children_that_need_the_same_stop_side_by_side_and_before_it(
    supervise: Any, child: Any
) -> None:
    supervisor, log = supervise(child("a"), child("b", needs=("a",)), child("c", needs=("a",)))
    await supervisor.start()
    await supervisor.stop()
    assert log.pairs()[-6:-4] == [("stopping", "c"), ("stopping", "b")]
    assert set(log.pairs()[-4:-2]) == {("stopped", "c"), ("stopped", "b")}
    assert log.pairs()[-2:] == [("stopping", "a"), ("stopped", "a")]


async def test_a_child_that_was_retired_is_gone_and_stays_away(supervise: Any, child: Any) -> None:
    supervisor, log = supervise(child("a"), child("b"))
    await supervisor.start()
    await supervisor.retire("b")
    assert log.of("b")[-2:] == ["stopping", "stopped"]
    await asyncio.sleep(0.5)  # longer than the first pause before a restart
    await supervisor.stop()
    assert log.of("b") == ["starting", "ready", "stopping", "stopped"]
    assert log.of("a")[-1] == "stopped"


async def test_a_stop_during_a_start_leaves_nothing(supervise: Any, child: Any) -> None:
    supervisor, log = supervise(child("a", probe=no), child("b"))
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: "ready" in log.of("b"))
    pids = [supervised.pid for supervised in supervisor.children.values()]
    starting.cancel()
    await supervisor.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_a_child_that_is_restarted_on_purpose_comes_back_without_a_pause(
    supervise: Any, child: Any
) -> None:
    supervisor, log = supervise(child("a"))
    await supervisor.start()
    await supervisor.restart("a", "memory")
    await until(lambda: log.of("a").count("ready") == 2)
    (ended,) = [change for change in log.changes if change.event == "ended"]
    assert ended.pause_s == 0


PARENT = """
import asyncio, sys
from pathlib import Path
from postloop.embedded.child import ChildSpec
from postloop.embedded.priority import LATER, STORE
from postloop.embedded.supervisor import Supervisor

async def yes():
    return True

async def main():
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    spec = ChildSpec("a", command, Path(sys.argv[1]) / "a.log", probe=yes)
    supervisor = Supervisor([spec], on_change=lambda change: None)
    await supervisor.start()
    print(supervisor.children["a"].pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    orphan = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    gone, _ = psutil.wait_procs([orphan], timeout=5)
    assert gone or orphan.status() == psutil.STATUS_ZOMBIE


GUARDED = """
import sys
sys.path.insert(0, {folder!r})
import lifeline
raise SystemExit(lifeline.guard({command!r}))
"""


def test_where_the_kernel_does_not_tell_a_guard_ends_the_child_at_the_end_of_its_input() -> None:
    from postloop.embedded.guarding import LIFELINE

    command = [sys.executable, "-c", "print('up', flush=True); import signal; signal.pause()"]
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARDED.format(folder=str(LIFELINE.parent), command=command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert guard.stdin is not None
    assert guard.stdout is not None
    assert guard.stdout.readline() == b"up\n"
    guard.stdin.close()
    assert guard.wait(timeout=5) == 128 + signal.SIGKILL


async def test_who_gives_way_does_so_once_all_are_ready_and_after_a_restart(
    supervise: Callable[..., tuple[Supervisor, Log]], child: Callable[..., ChildSpec]
) -> None:
    may_be_ready = asyncio.Event()

    async def late() -> bool:
        return may_be_ready.is_set()

    def niceness(name: str) -> int:
        pid = supervisor.children[name].pid
        return 0 if pid is None else os.getpriority(os.PRIO_PROCESS, pid)

    supervisor, log = supervise(child("humble", priority=LATER), child("proud", probe=late))
    starting = asyncio.create_task(supervisor.start())
    await until(lambda: supervisor.is_ready("humble"))
    assert niceness("humble") == os.getpriority(os.PRIO_PROCESS, 0)
    may_be_ready.set()
    await starting
    await until(lambda: niceness("humble") == LATER.nice)
    await supervisor.restart("humble", "a test")
    await until(lambda: log.of("humble").count("ready") == 2)
    await until(lambda: niceness("humble") == LATER.nice)
    assert niceness("proud") == os.getpriority(os.PRIO_PROCESS, 0)
    group = Path(f"/proc/{supervisor.children['humble'].pid}/autogroup")
    await until(lambda: not group.exists() or group.read_text().endswith(f"nice {LATER.nice}\n"))

    own = os.getpriority(os.PRIO_PROCESS, 0)
    await supervisor.hurry()
    assert not group.exists() or group.read_text().endswith(f"nice {own}\n")
    may_raise = os.geteuid() == 0 or 20 - resource.getrlimit(resource.RLIMIT_NICE)[0] <= own
    assert niceness("humble") == (own if may_raise else LATER.nice)


async def test_who_ranks_its_threads_has_a_nice_value_for_its_session_only(
    supervise: Callable[..., tuple[Supervisor, Log]], child: Callable[..., ChildSpec]
) -> None:
    supervisor, _ = supervise(child("store", priority=STORE), child("humble", priority=LATER))
    await supervisor.start()
    pids = {name: supervisor.children[name].pid for name in ("store", "humble")}
    await until(lambda: os.getpriority(os.PRIO_PROCESS, pids["humble"] or 0) == LATER.nice)
    group = Path(f"/proc/{pids['store']}/autogroup")
    await until(lambda: not group.exists() or group.read_text().endswith(f"nice {STORE.nice}\n"))
    assert os.getpriority(os.PRIO_PROCESS, pids["store"] or 0) == os.getpriority(os.PRIO_PROCESS, 0)
