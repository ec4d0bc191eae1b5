"""`postloop import --format mbox`: a mailbox of raw reports lands on the topics, twice with the same ids."""

import json
import mailbox
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postloop.adapters import topic_admin
from postloop.settings import Settings
from tests.integration.servers import Postloop, command_line, migrated_clickhouse
from tests.integration.test_deadletter import records
from tests.support.brokers import Broker
from tests.unit.domain.reports.conftest import sample

__all__ = ["command_line", "migrated_clickhouse"]

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def settings(carrier: Broker, migrated_clickhouse: str, topic_prefix: str) -> Settings:
    chosen = Settings(
        kafka_brokers=carrier.bootstrap, clickhouse_url=migrated_clickhouse, topic_prefix=topic_prefix
    )
    topic_admin.create_topics(chosen)
    return chosen


@pytest.fixture
def postloop(settings: Settings, command_line: Postloop) -> Callable[..., Done]:
    def run(*arguments: str) -> Done:
        said = {name: getattr(settings, name) for name in ("kafka_brokers", "clickhouse_url", "topic_prefix")}
        # The samples have fixed dates.
        return command_line(arguments[0], *arguments[1:], **said, raw_retention="18000d")

    return run


@pytest.fixture
def box(tmp_path: Path) -> str:
    path = tmp_path / "bounces"
    written = mailbox.mbox(path)
    for name in ("postfix-failed", "complaint", "away", "success", "exim", "daemon-says-nothing"):
        written.add(sample(name))
    written.close()
    return str(path)


def values(settings: Settings, topic: str) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records(settings, topic)]


def test_a_mailbox_of_reports_becomes_events_and_dead_letters_once(
    postloop: Callable[..., Done], settings: Settings, box: str
) -> None:
    options = ("import", box, "--format", "mbox", "--account-header", "X-Account", "--json")
    first = postloop(*options)
    assert first.returncode == 1, first.stderr
    said = json.loads(first.stdout)
    assert (said["messages"], said["sent"], said["dead_letters"]) == (6, 6, 1)
    assert said["by_type"] == {"bounce": 5, "complaint": 1}
    assert said["skipped"] == {"auto_reply": 1, "delivered": 1, "relayed": 1, "expanded": 1}

    assert postloop(*options).returncode == 1
    bounces, complaints = values(settings, "email.bounce"), values(settings, "email.complaint")
    assert (len(bounces), len(complaints)) == (10, 2)
    assert len({event["event_id"] for event in bounces}) == 5
    assert len({event["event_id"] for event in complaints}) == 1
    assert {event["account_id"] for event in bounces} == {"acme"}
    keys = {
        (record.key.decode(), json.loads(record.value)["recipient"])
        for record in records(settings, "email.bounce")
    }
    assert all(key == recipient for key, recipient in keys)

    letters = values(settings, "postloop.deadletter")
    assert [(letter["topic"], letter["stage"], letter["errors"][0]["code"]) for letter in letters] == [
        ("import:mbox", "decode", "no_recipient")
    ] * 2
    listed = postloop("deadletter", "list", "--topic", "import:mbox", "--json")
    assert [json.loads(line)["event_id"] for line in listed.stdout.splitlines()] == [letters[0]["event_id"]]
    assert letters[1]["event_id"] == letters[0]["event_id"]
    redriven = postloop("deadletter", "redrive", letters[0]["event_id"])
    assert (redriven.returncode, "import them again" in redriven.stderr) == (4, True)


def test_a_check_needs_no_broker(box: str, command_line: Postloop) -> None:
    options = ("--format", "mbox", "--account", "acme", "--check", "--json")
    done = command_line("import", box, *options, kafka_brokers="127.0.0.1:9", raw_retention="18000d")
    said = json.loads(done.stdout)
    assert (done.returncode, said["events"], said["sent"], said["dead_letters"]) == (1, 6, 0, 0)
