"""Files that commands read, compressed and damaged ones among them."""

from __future__ import annotations

import gzip
import os
import zlib
from contextlib import ExitStack
from pathlib import Path

import pytest
import typer

from postloop.cli.input_files import DamagedInputError, open_input

LINES = [f"line {number}\n".encode() for number in range(20_000)]
CONTENT = b"".join(LINES)


def opened(path: Path) -> tuple[list[bytes], int | None]:
    with ExitStack() as stack:
        stream, size = open_input(str(path), stack)
        return list(stream), size


def test_a_plain_file_has_its_lines_and_its_size(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(CONTENT)
    assert opened(path) == (LINES, len(CONTENT))


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"")
    assert opened(path) == ([], 0)


def test_compressed_files_put_one_behind_the_other_are_read_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(CONTENT[:1_000]) + gzip.compress(CONTENT[1_000:]))
    assert opened(path) == (LINES, None)


@pytest.mark.parametrize("damage", ["cut off", "changed", "followed by something else"])
def test_damage_is_told_with_the_file_after_what_stands_before_it(tmp_path: Path, damage: str) -> None:
    packed = gzip.compress(CONTENT)
    middle = len(packed) // 2
    path = tmp_path / "x"
    path.write_bytes(
        {
            "cut off": packed[:middle],
            "changed": packed[:middle] + b"\xff" * 40 + packed[middle + 40 :],
            "followed by something else": packed + b"something else",
        }[damage]
    )
    seen = []
    with ExitStack() as stack, pytest.raises(DamagedInputError, match=f"{path} is damaged"):
        stream, _ = open_input(str(path), stack)
        for line in stream:
            seen.append(line)  # noqa: PERF402 - what was read before the damage
    assert seen[:1_000] == LINES[:1_000]


def test_a_line_that_was_compressed_and_sent_is_not_held_back(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading, writing = os.open(path, os.O_RDWR), os.open(path, os.O_WRONLY)
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    with ExitStack() as stack:
        os.write(writing, packer.compress(b"first\n") + packer.flush(zlib.Z_SYNC_FLUSH))
        stream, _ = open_input(str(path), stack)
        assert stream.readline() == b"first\n"
        os.write(writing, packer.compress(b"second\n") + packer.flush(zlib.Z_SYNC_FLUSH))
        assert stream.readline() == b"second\n"
        os.write(writing, packer.flush())
        os.close(writing)
        os.close(reading)
        assert stream.readline() == b""


def test_a_file_that_is_not_there_ends_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack, pytest.raises(typer.Exit) as ended:
        open_input(str(tmp_path / "none"), stack)
    assert ended.value.exit_code == 2
    assert "cannot read" in capsys.readouterr().err
