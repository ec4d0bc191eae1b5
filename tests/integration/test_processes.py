"""The supervision that every integration test leans on must itself report what goes wrong."""

import sys
from pathlib import Path

import psutil
import pytest

from tests.support.processes import ChildProcess, assert_gone, descendants, wait_until

FOREVER = "import time; print('ready', flush=True); time.sleep(600)"
LEAVES_A_CHILD = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
{FOREVER}
"""


def python(code: str, directory: Path) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", code], log_path=directory / "child.log")


def wait_until_ready(child: ChildProcess) -> None:
    wait_until(lambda: "\nready" in child.log_tail(), timeout_s=20, what="the child is ready", process=child)


def test_waiting_for_a_process_that_ended_shows_its_exit_code_and_log(tmp_path: Path) -> None:
    with (
        python("import sys; print('no such table'); sys.exit(3)", tmp_path) as child,
        pytest.raises(AssertionError, match=r"(?s)ended with 3 before it is ready.*no such table"),
    ):
        wait_until(lambda: False, timeout_s=20, what="it is ready", process=child)


def test_waiting_too_long_names_what_was_waited_for_and_the_last_answer() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.1 s: three rows \(last answer: 0\)"):
        wait_until(lambda: 0, timeout_s=0.1, what="three rows")


def test_a_child_that_is_terminated_reports_the_signal(tmp_path: Path) -> None:
    with python(FOREVER, tmp_path) as child:
        wait_until_ready(child)
        assert child.terminate() == -15


def test_a_child_that_leaves_a_process_behind_fails_the_test_and_the_process_is_ended(tmp_path: Path) -> None:
    with python(LEAVES_A_CHILD, tmp_path) as child:
        wait_until_ready(child)
        below = descendants(child.pid)
        assert len(below) == 1
        with pytest.raises(AssertionError, match=f"left processes behind: .{below[0].pid}."):
            child.terminate()
    assert_gone(below)


def test_killing_a_session_ends_what_a_crash_would_leave(tmp_path: Path) -> None:
    with python(LEAVES_A_CHILD, tmp_path) as child:
        wait_until_ready(child)
        (orphan,) = descendants(child.pid)
        child.kill()
        assert psutil.pid_exists(orphan.pid)
    assert_gone([orphan])


def test_what_still_runs_is_named(tmp_path: Path) -> None:
    with python(FOREVER, tmp_path) as child:
        wait_until_ready(child)
        with pytest.raises(AssertionError, match=f"still running after 0.1 s: {child.pid} "):
            assert_gone([psutil.Process(child.pid)], timeout_s=0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_test_run_that_is_killed_leaves_no_child(tmp_path: Path) -> None:
    run = f"""
from pathlib import Path
from tests.support.processes import ChildProcess
ChildProcess({[sys.executable, "-c", FOREVER]!r}, log_path=Path({str(tmp_path)!r}) / "grandchild.log").start()
{FOREVER}
"""
    with python(run, tmp_path) as child:
        wait_until_ready(child)
        (grandchild,) = descendants(child.pid)
        child.kill()
        assert_gone([grandchild])
