"""`postloop import --format ...`: what it says, and how it ends."""

import gzip
import json
import mailbox
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from postloop.adapters.dead_letter_store import DeadLetter
from postloop.adapters.errors import UnavailableError
from postloop.adapters.mailboxes import StoredMessage
from postloop.cli import deadletter, import_reports
from postloop.cli.main import app
from postloop.settings import Settings
from tests.unit.domain.reports.conftest import NAMES, sample

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    env = {"POSTLOOP_KAFKA_BROKERS": "127.0.0.1:9", "POSTLOOP_DATA_DIR": str(tmp_path), "COLUMNS": "200"}
    env["POSTLOOP_RAW_RETENTION"] = "18000d"

    def command(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(app, ["import", *arguments], env=env, **options)

    return command


def write(path: Path, raw: bytes) -> str:
    path.write_bytes(raw)
    return str(path)


def test_one_delivery_report_is_checked_without_a_broker(run: Run, tmp_path: Path) -> None:
    done = run(
        write(tmp_path / "x", sample("postfix-failed")), "--format", "dsn", "--account", "acme", "--check"
    )
    assert done.exit_code == 0, done.output
    assert done.stdout == "1 messages: 2 events valid (bounce 2), 0 skipped (none), 0 would be dead letters\n"


def test_what_cannot_be_read_is_told_with_message_recipient_field_and_reason(
    run: Run, tmp_path: Path
) -> None:
    path = write(tmp_path / "x", sample("sparse"))
    done = run(path, "--format", "dsn", "--account", "acme", "--sender-domain", "acme.example", "--check")
    assert done.exit_code == 1
    assert "message 1, recipient 2: action: no action of RFC 3464: 'vanished'\n" in done.stderr
    assert "2 events valid (bounce 2), 0 skipped (none), 2 would be dead letters" in done.stdout


def test_a_check_tells_programs_too_how_many_dead_letters_there_would_be(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "x", sample("sparse"))
    options = ("--format", "dsn", "--account", "acme", "--sender-domain", "acme.example", "--json")
    document = json.loads(run(path, *options, "--check").stdout)
    assert (document["dead_letters"], document["would_be_dead_letters"]) == (0, 2)


def test_what_was_sent_as_dead_letters_is_no_more_what_would_be(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_reports, "EventProducer", Broker)
    monkeypatch.setattr(import_reports, "connect", lambda settings: None)
    monkeypatch.setattr(import_reports, "DeadLetterStore", lambda *_: SimpleNamespace(keep=list))
    path = write(tmp_path / "x", sample("sparse"))
    options = ("--format", "dsn", "--account", "acme", "--sender-domain", "acme.example", "--json")
    document = json.loads(run(path, *options).stdout)
    assert (document["dead_letters"], document["would_be_dead_letters"]) == (2, 0)


def test_a_domain_that_is_missing_is_told_with_what_helps(run: Run, tmp_path: Path) -> None:
    addressed_to_nobody = sample("exim-delayed").replace(b"\nTo: ", b"\nX-To: ")
    done = run(write(tmp_path / "x", addressed_to_nobody), "--format", "dsn", "--account", "acme", "--check")
    assert done.exit_code == 1
    assert "message 1, recipient 0: sender_domain: sender_domain is required" in done.stderr
    assert "--sender-domain names the domain" in done.stderr


def test_a_mailbox_and_a_maildir_of_the_same_mail_say_the_same(run: Run, tmp_path: Path) -> None:
    box, directory = mailbox.mbox(tmp_path / "box"), mailbox.Maildir(tmp_path / "maildir")
    for name in NAMES:
        box.add(sample(name))
        directory.add(sample(name))
    box.close()
    options = ("--account", "acme", "--sender-domain", "acme.example", "--check", "--json")
    found = [
        json.loads(run(str(tmp_path / path), "--format", form, *options).stdout)
        for path, form in (("box", "mbox"), ("maildir", "maildir"))
    ]
    for document in found:
        assert (document["messages"], document["invalid_messages"], document["sent"]) == (len(NAMES), 2, 0)
        assert document["by_type"] == {"bounce": 19, "complaint": 7}
        assert document["skipped"] == {
            "authentication_report": 1,
            "auto_reply": 1,
            "delivered": 1,
            "expanded": 1,
            "not_a_report": 1,
            "read_receipt": 1,
            "relayed": 1,
        }
        assert {problem["code"] for problem in document["problems"]} == {
            "missing",
            "unknown_value",
            "no_recipient",
        }
    assert {problem["name"] for problem in found[0]["problems"]} == {""}
    assert all(problem["name"].startswith("new/") for problem in found[1]["problems"])


def test_standard_input_is_read_for_a_dash(run: Run) -> None:
    done = run("-", "--format", "arf", "--account", "acme", "--check", input=sample("complaint"))
    assert (done.exit_code, done.stdout.count("complaint 1")) == (0, 1)


@pytest.mark.parametrize("place", ["file", "standard input"])
def test_what_gzip_compressed_is_read_as_what_it_holds(run: Run, tmp_path: Path, place: str) -> None:
    packed = gzip.compress(sample("complaint"))
    if place == "file":
        done = run(write(tmp_path / "x", packed), "--format", "arf", "--account", "acme", "--check")
    else:
        done = run("-", "--format", "arf", "--account", "acme", "--check", input=packed)
    assert (done.exit_code, done.stdout.count("complaint 1")) == (0, 1), done.output


def test_what_stands_before_damage_is_reported_before_the_damage_is(run: Run, tmp_path: Path) -> None:
    line = b'{"type": "send", "event_id": "e", "account_id": "a"}\n'
    packed = gzip.compress(line * 1_000)
    done = run(write(tmp_path / "x.jsonl.gz", packed[:-20]), "--check", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["lines"] > 0
    assert "x.jsonl.gz is damaged" in done.stderr
    assert done.stderr.count("error:") == 1


def test_without_an_account_the_events_go_to_one_that_says_so(run: Run, tmp_path: Path) -> None:
    done = run(write(tmp_path / "x", sample("postfix-failed")), "--format", "dsn", "--check", "--json")
    assert done.exit_code == 0
    assert "unassigned" in done.stderr and "--account ID" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ["x", "--format", "dsn", "--account", "a", "--type", "bounce"], "--type is for JSON lines", id="type"
        ),
        pytest.param(["x", "--account", "a"], "add --format", id="account-of-json-lines"),
        pytest.param(
            ["/nowhere", "--format", "maildir", "--account", "a"], "neither new/ nor cur/", id="no-maildir"
        ),
        pytest.param(["/nowhere/x", "--format", "mbox", "--account", "a"], "cannot read", id="no-file"),
        pytest.param(["x", "--format", "pst", "--account", "a"], "jsonl", id="no-such-format"),
    ],
)  # fmt: skip
def test_contradictions_and_missing_files_end_with_2(run: Run, arguments: list[str], said: str) -> None:
    done = run(*arguments, "--check")
    assert done.exit_code == 2
    assert said in done.stderr


class Broker:
    """Keeps what is sent."""

    sent: list[tuple[str, bytes]]

    def __init__(self, settings: Settings) -> None:
        type(self).sent = []

    def require_topics(self, topics: list[str]) -> None:
        assert topics == ["email.bounce", "email.complaint", "postloop.deadletter"]

    def send(self, topic: str, value: bytes, *, key: bytes) -> None:
        self.sent.append((topic, value))

    def flush(self) -> None: ...

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None: ...


def test_dead_letters_are_sent_also_where_the_database_is_away(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(settings: Settings) -> None:
        raise UnavailableError("ClickHouse at x cannot be reached")

    monkeypatch.setattr(import_reports, "EventProducer", Broker)
    monkeypatch.setattr(import_reports, "connect", away)
    path = write(tmp_path / "x", sample("sparse"))
    done = run(path, "--format", "dsn", "--account", "acme", "--sender-domain", "acme.example")
    assert done.exit_code == 1
    assert [topic for topic, _ in Broker.sent] == ["email.bounce"] * 2 + ["postloop.deadletter"] * 2
    assert "2 events sent (bounce 2), 0 skipped (none), 2 dead letters" in done.stdout
    assert "not in `deadletter list`: ClickHouse at x cannot be reached" in done.stderr


def test_dead_letters_are_kept_few_at_a_time(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []

    class Store:
        def __init__(self, *_: object) -> None: ...

        def keep(self, rows: list[dict[str, Any]]) -> None:
            kept.append(len(rows))
            assert {row["topic"] for row in rows} == {"import:maildir"}

    monkeypatch.setattr(import_reports, "EventProducer", Broker)
    monkeypatch.setattr(import_reports, "connect", lambda settings: None)
    monkeypatch.setattr(import_reports, "DeadLetterStore", Store)
    (tmp_path / "m" / "new").mkdir(parents=True)
    for number in range(20):
        (tmp_path / "m" / "new" / str(number)).write_bytes(b"garbage %d" % number)
    done = run(str(tmp_path / "m"), "--format", "maildir", "--account", "acme")
    assert done.exit_code == 1
    assert (kept, len(Broker.sent)) == ([16, 4], 20)


def test_a_file_that_cannot_be_read_is_told_and_is_no_dead_letter(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = StoredMessage(1, b"", name="new/7", problem="No such file or directory")
    monkeypatch.setattr(import_reports.mailboxes, "read_maildir", lambda *_, **__: iter([gone]))
    (tmp_path / "new").mkdir()
    done = run(str(tmp_path), "--format", "maildir", "--account", "acme", "--check")
    assert done.exit_code == 1
    assert "message 1 (new/7): No such file or directory\n" in done.stderr
    assert done.stdout.endswith("0 skipped (none), 0 would be dead letters\n")


def letter(topic: str) -> DeadLetter:
    return DeadLetter(
        event_id=topic,
        topic=topic,
        topic_id="",
        partition=0,
        offset=0,
        index=None,
        key=b"",
        value=b"x",
        value_bytes=1,
        stage="decode",
        error_code="not_json",
        errors=(),
        at=datetime.now(UTC),
    )


class Letters:
    """Two dead letters: of a record and of an imported message."""

    def find(self, ids: list[str]) -> list[list[DeadLetter]]:
        return [[letter(topic) for topic in ids]]


def test_messages_of_an_import_are_never_redriven(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(deadletter, "_store", lambda settings: Letters())
    env = {"POSTLOOP_DATA_DIR": str(tmp_path)}

    def redrive(*ids: str) -> Result:
        return CliRunner().invoke(app, ["deadletter", "redrive", *ids, "--dry-run"], env=env)

    both = redrive("email.bounce", "import:mbox")
    assert both.exit_code == 0
    assert both.stdout == "1 would be published again\n1 are messages of an import and were left alone\n"
    alone = redrive("import:mbox")
    assert alone.exit_code == 4
    assert "cannot be redriven: import them again" in alone.stderr
