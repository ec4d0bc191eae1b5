"""`postloop blocklist import|export|unblock`: what is wrong with a file or an argument is a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.command_line import run_postloop

WHO = ["--actor", "operator:eve", "--reason", "moved"]
OF_A_DAY = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"]


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        pytest.param("csv", b"recipient\n\xff@x.org\n", "not UTF-8", id="no UTF-8"),
        pytest.param(
            "csv", b"recipient\n" + b"a" * 140_000 + b"@x.org\n", "line 2: no CSV", id="a long field"
        ),
        pytest.param("tencent", b'{"BlackList":5}', "no array", id="a number for a list"),
        pytest.param("aws", b'{"SuppressedDestinationSummaries":5}', "no array", id="the same of SES"),
        pytest.param("aws", b'{"a":' * 100_000, "line 1: neither", id="nested"),
        pytest.param("tencent", b"[" * 100_000, "no BlackList", id="nested too"),
        pytest.param(
            "tencent",
            b'{"BlackList":[{"EmailAddress":"a@x.org","BounceTime":1e30}]}',
            "entry 1",
            id="no year",
        ),
        pytest.param("csv", b"recipient,scope\na@x.org," + b"x" * 999 + b"\n", "line 1: scope", id="scope"),
    ],
)
def test_a_list_that_cannot_be_read_is_said_without_a_traceback(
    tmp_path: Path, form: str, text: bytes, said: str
) -> None:
    path = tmp_path / "list"
    path.write_bytes(text)
    done = run_postloop(
        "blocklist", "import", str(path), "--format", form, *WHO, "--dry-run", env=os.environ, cwd=tmp_path
    )
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bounce_at_the_end_of_all_years_blocks_until_then(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("recipient,reason,starts_at\na@x.org,user_unknown,9999-12-30T00:00:00Z\n")
    done = run_postloop(
        "blocklist", "import", str(path), *WHO, "--dry-run", "--json", env=os.environ, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert '"lines":1' in done.stdout.replace(" ", "")


def test_a_list_of_hashes_can_be_read_again_where_the_list_holds_hashes(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"recipient,recipient_form\n{'ab' * 32},hmac-sha256\n")
    hashed = {"POSTLOOP_BLOCKLIST_RECIPIENT_FORM": "hmac-sha256", "POSTLOOP_BLOCKLIST_HASH_KEY": "11" * 32}
    for env, code in ((hashed, 0), ({}, 1)):
        done = run_postloop(
            "blocklist", "import", str(path), *WHO, "--dry-run", env={**os.environ, **env}, cwd=tmp_path
        )
        assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["unblock", "a@x.org", "--actor", "operator:eve", "--reason", "x" * 501], "500 characters"),
        (["unblock", "a@x.org", "--actor", f"account:{'x' * 999}", "--reason", "x"], "--actor"),
        (["unblock", "a@x.org", "--actor", "operator:eve", "--reason", "x", "--scope", ""], "scope"),
        (["unblock", "a\udcff@x.org", "--actor", "operator:eve", "--reason", "x"], "not an address"),
        (["import", "list", "--actor", "operator:eve", "--reason", " "], "--reason"),
        (["export", "."], "cannot be written"),
        (["export", "missing/list.csv"], "cannot be written"),
        (
            ["rollback", "--provider", "gmail", "--reason", "x", *OF_A_DAY, "--why", ""],
            "--why",
        ),
    ],
)
def test_wrong_arguments_are_exit_code_2_and_a_sentence(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "list").write_text("recipient\na@x.org\n")
    done = run_postloop("blocklist", *arguments, env=os.environ, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
