"""A command is imported when it is asked for, and none is forgotten."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import postloop.cli
from postloop.cli.main import Postloop, app


def _modules_with_a_command() -> Iterator[str]:
    """Yield the modules of the command line with a function `register(app)`."""
    for path in Path(postloop.cli.__path__[0]).glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if (
                isinstance(node, ast.FunctionDef)
                and node.name == "register"
                and node.args.args[0].arg == "app"
            ):
                yield f"postloop.cli.{path.stem}"


def test_every_module_that_has_a_command_is_listed() -> None:
    assert sorted(Postloop.modules.values()) == sorted(_modules_with_a_command())


@pytest.mark.parametrize("name", Postloop.modules)
def test_a_command_is_found_under_its_name(name: str) -> None:
    done = CliRunner().invoke(app, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert f"postloop {name}" in done.output


def test_help_lists_all_of_them_with_a_sentence() -> None:
    group = get_command(app)
    assert isinstance(group, Postloop)
    for name in group.commands:
        assert group.commands[name].get_short_help_str(), name


def test_one_that_is_nearly_right_is_suggested() -> None:
    done = CliRunner().invoke(app, ["simulat"])
    assert done.exit_code == 2
    assert "simulate" in done.output


def test_what_needs_no_broker_and_no_database_imports_no_client() -> None:
    code = (
        "import sys; from postloop.cli.main import main\n"
        "try: main()\n"
        "finally: sys.stderr.write(' '.join({'kafka', 'clickhouse_connect', 'aiohttp', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "classify", "550 5.1.1 no such user"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "user_unknown" in done.stdout
