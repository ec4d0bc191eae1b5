"""Logs of children: bounded, and read for the last thing said."""

import subprocess
import sys
from pathlib import Path

import pytest

from postloop.embedded.logfile import LogFile


@pytest.mark.parametrize(
    ("content", "last"),
    [
        pytest.param("", "", id="nothing said"),
        pytest.param("one\ntwo\n\n", "two", id="blank lines do not count"),
        pytest.param(
            '{"event": "stopped", "reason": "no space"}\n',
            "stopped: no space",
            id="a JSON line is put in words",
        ),
        pytest.param('{"level": "info"}\n', '{"level": "info"}', id="a JSON line without words stays"),
        pytest.param("x" * 10_000, "x" * 300, id="long lines are cut"),
    ],
)
def test_the_last_line_is_what_a_person_wants_to_know(content: str, last: str, tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log")
    log.path.write_text(content)
    assert log.last_line() == last


def test_a_log_that_does_not_exist_has_no_last_line(tmp_path: Path) -> None:
    assert LogFile(tmp_path / "a.log").last_line() == ""


def test_a_large_log_moves_aside_while_the_child_goes_on_writing(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logs" / "a.log", max_bytes=100)
    code = "import sys; print('a' * 200, flush=True); sys.stdin.readline(); print('after', flush=True)"
    with log.open_for_child() as file:
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=file)
    assert child.stdin is not None
    while log.path.stat().st_size < len("a" * 200 + "\n"):
        assert child.poll() is None
    assert log.rotate_if_large()
    child.communicate(b"\n")
    assert log.path.read_text() == "after\n"
    assert log.path.with_name("a.log.1").read_text() == "a" * 200 + "\n"


def test_a_small_log_stays(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", max_bytes=100)
    log.path.write_text("short")
    assert not log.rotate_if_large()
    assert log.path.read_text() == "short"
