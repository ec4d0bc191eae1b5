"""One stack per data directory, found by its file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from postloop.domain.errors import PostloopError
from postloop.embedded.stack_state import AlreadyRunningError, data_directory_lock, remove_stack, write_stack
from postloop.settings import STACK_FILE, running_stack

HOLD = """
import sys
from pathlib import Path
from postloop.embedded.stack_state import data_directory_lock
with data_directory_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_data_directory_belongs_to_one_stack_until_that_ends_even_by_kill(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    said = rf"already runs on {tmp_path} \(pid {holder.pid}\)"
    with pytest.raises(AlreadyRunningError, match=said), data_directory_lock(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with data_directory_lock(tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "below"
    with (
        pytest.raises(PostloopError, match=f"data directory {below} cannot be used"),
        data_directory_lock(below),
    ):
        pass


def test_what_a_stack_leaves_is_what_commands_read(tmp_path: Path) -> None:
    told = {"kafka_brokers": "127.0.0.1:1", "clickhouse_url": "http://127.0.0.1:2"}
    write_stack(tmp_path, settings=told, http="http://127.0.0.1:3")
    assert running_stack(tmp_path) == told
    assert json.loads((tmp_path / STACK_FILE).read_text())["pid"] == os.getpid()
    remove_stack(tmp_path)
    remove_stack(tmp_path)
    assert running_stack(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
