"""docs/reports.md: its example is what the command does, and it names every reason."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from typer.testing import CliRunner

from postloop.cli.import_reports import Format
from postloop.cli.main import app
from postloop.contracts import report_events
from postloop.contracts.decode import Limits
from postloop.contracts.report_events import Attribution, decode_report
from postloop.domain import reports
from postloop.domain.reports.model import SkipReason
from tests.unit.domain.reports.conftest import sample

PAGE = (Path(__file__).parents[3] / "docs" / "reports.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"`([^`\n]+)`", PAGE))
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def block(fence: str) -> str:
    found = re.search(rf"{fence}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def outputs() -> list[tuple[list[str], str]]:
    """Return the words of each command that is shown, and what it prints."""
    shown = re.findall(r"```console\n\$ postloop (.*?)\n(.*?)```", PAGE, re.DOTALL)
    return [(command.split(), said) for command, said in shown]


def run(arguments: list[str], tmp_path: Path) -> str:
    env = {"POSTLOOP_DATA_DIR": str(tmp_path), "POSTLOOP_RAW_RETENTION": "18000d", "COLUMNS": "200"}
    done = CliRunner().invoke(app, arguments, env=env)
    return "".join(line + "\n" for line in (done.stderr + done.stdout).splitlines() if line)


def test_the_mailbox_of_the_example_says_what_is_shown(tmp_path: Path) -> None:
    half = sample("postfix-failed").replace(
        b"Action: failed\nStatus: 5.2.2", b"Action: vanished\nStatus: 5.2.2"
    )
    mails = [sample("complaint"), sample("away"), half, sample("daemon-says-nothing")]
    box = tmp_path / "bounces"
    box.write_bytes(b"".join(b"From x Mon Nov 23 09:01:06 2026\n" + mail + b"\n" for mail in mails))
    (command, said), _ = outputs()
    assert run([str(box) if word == "/var/mail/bounces" else word for word in command], tmp_path) == said


def test_the_report_of_the_example_becomes_the_event_that_is_shown(tmp_path: Path) -> None:
    raw = block("````text").encode()
    file = tmp_path / "bounce.eml"
    file.write_bytes(raw)
    _, (command, said) = outputs()
    assert run([str(file) if word == "bounce.eml" else word for word in command], tmp_path) == said
    attribution = Attribution(account_header="X-Account")
    (record,) = decode_report(raw, attribution, now=NOW, limits=Limits(retention=timedelta(days=90))).records
    assert json.loads(record.value) == json.loads(block("```json"))


def test_every_reason_format_and_code_is_described() -> None:
    sources = [*Path(reports.__file__).parent.glob("*.py"), Path(report_events.__file__)]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    codes = set(re.findall(r'(?:DataError|DraftError)\(\s*(?:\w+, )?"(\w+)"', text))
    codes |= {code for code, _ in report_events._WRONG_KIND.values()}
    assert len(codes) >= 10
    assert codes | {*get_args(SkipReason)} | {*Format} <= WORDS
