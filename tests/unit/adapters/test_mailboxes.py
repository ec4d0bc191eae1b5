"""Mailboxes on disk: messages are told apart, unquoted, and never held whole."""

import io
import os
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.mailboxes import (
    StoredMessage,
    is_maildir,
    maildir_bytes,
    read_maildir,
    read_mbox,
    read_single,
)

FROM = b"From MAILER-DAEMON Mon Nov 23 09:01:06 2026\n"


def mbox(raw: bytes, *, max_bytes: int = 1_000) -> list[StoredMessage]:
    read: list[int] = []
    found = list(read_mbox(io.BytesIO(raw), max_bytes=max_bytes, on_bytes=read.append))
    assert sum(read) == len(raw)
    return found


def test_messages_are_told_apart_by_their_from_lines() -> None:
    found = mbox(FROM + b"A: 1\n\none\n\n" + FROM + b"A: 2\n\ntwo\n")
    assert [(m.number, m.raw) for m in found] == [(1, b"A: 1\n\none\n"), (2, b"A: 2\n\ntwo\n")]


def test_quoted_lines_lose_one_sign() -> None:
    (found,) = mbox(FROM + b"A: 1\n\n>From here\n>>From there\n> From far\n")
    assert found.raw == b"A: 1\n\nFrom here\n>From there\n> From far\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"\nFrom here to there\n", id="no-time"),
        pytest.param(b"\nFrom 9:30 to 10:30 we meet\n", id="no-year"),
        pytest.param(b"so much.\n" + FROM, id="no-blank-line-before"),
    ],
)
def test_text_that_begins_like_a_from_line_begins_no_message(text: bytes) -> None:
    (found,) = mbox(FROM + b"A: 1\n\n" + text)
    assert found.raw.endswith(text)


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        (b"From a@b.example Mon Nov 23 09:01:06 2026", datetime(2026, 11, 23, 9, 1, 6, tzinfo=UTC)),
        (b"From - Mon Nov  2 09:01:06 2026", datetime(2026, 11, 2, 9, 1, 6, tzinfo=UTC)),
        (b"From a b Mon Nov 23 09:01 2026", datetime(2026, 11, 23, 9, 1, tzinfo=UTC)),
        (b"From 1@xxx Mon Nov 23 10:01:06 +0100 2026", datetime(2026, 11, 23, 9, 1, 6, tzinfo=UTC)),
        (b"From a@b Mon Nov 23 10:01:06 2026 +0100", datetime(2026, 11, 23, 9, 1, 6, tzinfo=UTC)),
        (b"From a@b 12:00 in the year 2026", None),
    ],
)
def test_a_from_line_tells_when_the_message_came(line: bytes, moment: datetime | None) -> None:
    (found,) = mbox(line + b"\nA: 1\n\none\n")
    assert (found.received_at, found.raw) == (moment, b"A: 1\n\none\n")


def test_a_file_without_from_lines_is_one_message() -> None:
    assert [m.raw for m in mbox(b"A: 1\n\none\n")] == [b"A: 1\n\none\n"]


@pytest.mark.parametrize(
    "before", [b"\xef\xbb\xbf", b"\n", b"\xef\xbb\xbf\r\n"], ids=["mark", "blank", "both"]
)
def test_a_byte_order_mark_or_blank_lines_hide_no_message(before: bytes) -> None:
    found = mbox(before + FROM + b"A: 1\n\none\n\n" + FROM + b"A: 2\n\ntwo\n")
    assert [(m.number, m.raw) for m in found] == [(1, b"A: 1\n\none\n"), (2, b"A: 2\n\ntwo\n")]
    assert found[0].received_at is not None


@pytest.mark.parametrize(
    "raw", [b"", b"\n\n\n", FROM, FROM + b"\n\n" + FROM], ids=["empty", "blank", "one", "two"]
)
def test_an_empty_mailbox_has_no_messages(raw: bytes) -> None:
    assert mbox(raw) == []


def test_of_a_long_message_one_byte_more_than_the_limit_is_kept() -> None:
    found = mbox(FROM + b"x" * 5_000 + b"\n\n" + FROM + b"A: 2\n")
    assert [len(message.raw) for message in found] == [1_001, 5]
    (single,) = read_single(io.BytesIO(b"x" * 5_000), max_bytes=1_000, on_bytes=abs)
    assert single.raw == b"x" * 1_001


def test_memory_holds_one_message_however_large_the_mailbox_and_its_lines_are() -> None:
    class Endless(io.RawIOBase):
        """40 MB in one line."""

        left = 640

        def readline(self, size: int | None = -1) -> bytes:
            self.left -= 1
            return b"x" * 65_536 if self.left >= 0 else b""

    tracemalloc.start()
    (found,) = read_mbox(Endless(), max_bytes=100_000, on_bytes=abs)  # type: ignore[arg-type]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.raw) == 100_001
    assert peak_bytes < 2_000_000


@given(st.lists(st.binary(min_size=1, max_size=60).filter(lambda b: b.strip(b"\r\n \t")), max_size=8))
def test_what_was_written_is_read_back(bodies: list[bytes]) -> None:
    def quoted(body: bytes) -> bytes:
        lines = (b"X: 1\n\n" + body).split(b"\n")
        return b"\n".join(b">" + li if li.lstrip(b">").startswith(b"From ") else li for li in lines)

    raw = b"".join(FROM + quoted(body) + b"\n\n" for body in bodies)
    assert [m.raw for m in mbox(raw)] == [(b"X: 1\n\n" + body).rstrip(b"\r\n") + b"\n" for body in bodies]


def test_a_maildir_is_read_from_new_and_cur(tmp_path: Path) -> None:
    for folder, name in (("new", "1.a"), ("cur", "2.b:2,S"), ("tmp", "3.c")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(name.encode())
    (tmp_path / "new" / "folder").mkdir()
    (tmp_path / "new" / "link").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "cur" / "pipe")
    read: list[int] = []
    found = list(read_maildir(tmp_path, max_bytes=100, on_bytes=read.append))
    assert sorted((m.name, m.raw) for m in found) == [("cur/2.b:2,S", b"2.b:2,S"), ("new/1.a", b"1.a")]
    assert [m.number for m in found] == [1, 2]
    assert sum(read) == maildir_bytes(tmp_path) == 10


def test_a_message_that_goes_away_meanwhile_is_told(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for name in ("a", "b"):
        (tmp_path / "new" / name).write_bytes(b"A: 1\n")
    messages = read_maildir(tmp_path, max_bytes=100, on_bytes=abs)
    first = next(messages)
    for path in (tmp_path / "new").iterdir():
        path.unlink()
    (second,) = messages
    assert (first.problem, second.problem, second.raw) == ("", "No such file or directory", b"")


def test_a_directory_is_a_maildir_by_its_folders(tmp_path: Path) -> None:
    assert not is_maildir(tmp_path)
    (tmp_path / "cur").mkdir()
    assert is_maildir(tmp_path)
