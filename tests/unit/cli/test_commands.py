"""Commands say one clear sentence, exit with the right code, and show no secret."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from postloop.adapters import kafka_security
from postloop.adapters.installed import installed_version
from postloop.cli import worker
from postloop.cli.config import written
from postloop.cli.main import app
from postloop.settings import Settings, parse_duration

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a runner of the command line in an empty directory without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kafka_security, "BOOTSTRAP_TIMEOUT_MS", 500)
    for name in [name for name in os.environ if name.startswith("POSTLOOP_")]:
        monkeypatch.delenv(name)

    def invoke(*arguments: str, **settings: str) -> Result:
        env = {f"POSTLOOP_{name.upper()}": value for name, value in settings.items()}
        return CliRunner().invoke(app, list(arguments), env={**env, "COLUMNS": "200"})

    return invoke


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on and nobody else gets."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class Refusing(BaseHTTPRequestHandler):
    """Answers as a ClickHouse server does to a wrong password."""

    def do_GET(self) -> None:
        body = b"Code: 516. DB::Exception: ann: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"
        self.send_response(403)
        self.send_header("X-ClickHouse-Exception-Code", "516")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def refusing_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command below with its words."""
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from commands(below, *path, name)
    else:
        yield path, command


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_a_help_with_an_example(path: tuple[str, ...]) -> None:
    assert "Example: " in (ALL[path].help or "")


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"postloop {installed_version()}\n"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            {"kafka_broker": "x:1"},
            "POSTLOOP_KAFKA_BROKER is not a setting of Postloop; did you mean POSTLOOP_KAFKA_BROKERS?",
            id="typing error",
        ),
        pytest.param(
            {"linger": "5"},
            "POSTLOOP_LINGER: a duration is a number with a unit, like 250ms, 30s, 10m, 72h or 14d: '5'",
            id="no unit",
        ),
        pytest.param({"topic_partitions": "0"}, "POSTLOOP_TOPIC_PARTITIONS: ", id="out of range"),
        pytest.param(
            {"insert_timeout": "40s"},
            "insert_timeout (40s) must be shorter than session_timeout (30s)",
            id="contradiction",
        ),
        pytest.param(
            {"kafka_security": "sasl_ssl", "kafka_username": "ann"},
            "kafka_security=sasl_ssl needs kafka_username and kafka_password",
            id="no password",
        ),
        pytest.param(
            {"kafka_security": "sasl_plaintext", "kafka_username": "ann", "kafka_password": "hunter2"},
            "kafka_security=sasl_plaintext sends the password in clear text",
            id="clear text",
        ),
        pytest.param(
            {"kafka_security": "ssl", "kafka_ca_file": "/nowhere/ca.pem"},
            "kafka_ca_file cannot be read: No such file or directory: /nowhere/ca.pem",
            id="no CA file",
        ),
        pytest.param(
            {"clickhouse_url": "https://ch", "clickhouse_ca_file": __file__},
            f"clickhouse_ca_file holds no certificate in PEM form: {__file__}",
            id="no certificate",
        ),
        pytest.param(
            {"kafka_ca_file": __file__},
            "kafka_ca_file is set but kafka_security is plaintext: no certificate would be checked",
            id="CA file without TLS",
        ),
        pytest.param(
            {"clickhouse_ca_file": __file__},
            "clickhouse_ca_file is set but clickhouse_url is not https://: no certificate would be checked",
            id="CA file without https",
        ),
        pytest.param(
            {"clickhouse_url": "localhost:8123"},
            "clickhouse_url must look like http://HOST:PORT",
            id="no url",
        ),
        pytest.param(
            {"api_watch": "recorder=http://10.0.0.5:8090,blocklist"},
            "api_watch is a list like recorder=http://10.0.0.5:8090: 'blocklist'",
            id="no address of a worker",
        ),
    ],
)
@pytest.mark.parametrize(
    "command", [["config"], ["topics", "check"], ["worker", "recorder"], ["up"]], ids=" ".join
)
def test_a_bad_configuration_is_one_sentence_and_exit_code_2(
    run: Run, command: list[str], settings: dict[str, str], said: str
) -> None:
    done = run(*command, **settings)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.output


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"reputation_policy": "strict"},
            "POSTLOOP_REPUTATION_POLICY is one of default, tencent, aws, google",
        ),
        ({"reputation_policy": "/nowhere/p.toml"}, "cannot read /nowhere/p.toml"),
        ({"webhook_master_keys": "hunter2"}, "a master key is base64 of 32 bytes"),
        ({"webhook_master_keys": "aHVudGVyMg=="}, "a master key has 32 bytes, in base64"),
        ({"blocklist_lease_by_reason": "gone=3d"}, "gone is no bounce reason"),
    ],
    ids=["no preset", "no file", "no base64", "short key", "no reason"],
)
@pytest.mark.parametrize("command", ["config", "up"])
def test_what_only_a_worker_can_read_is_refused_before_one_starts(
    run: Run, command: str, settings: dict[str, str], said: str
) -> None:
    done = run(command, **settings)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.output


def test_doctor_refuses_what_only_a_worker_can_read(run: Run) -> None:
    done = run("doctor", "--json", reputation_policy="strict")
    assert done.exit_code == 1
    assert "POSTLOOP_REPUTATION_POLICY is one of" in done.stdout


@pytest.mark.parametrize(
    ("from_at", "to_at"),
    [
        ("0001-01-01T00:00:00+05:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "9999-12-31T23:00:00-23:00"),
    ],
    ids=["before all years", "behind all years"],
)
def test_a_time_whose_zone_carries_it_out_of_all_years_is_refused(
    run: Run, from_at: str, to_at: str, tmp_path: Path
) -> None:
    (tmp_path / "p.toml").write_text("")
    policy = str(tmp_path / "p.toml")
    done = run("reputation", "backtest", "--policy", policy, "--from", from_at, "--to", to_at)
    assert done.exit_code == 2
    assert "must be a time with a zone" in done.stderr


def test_a_backtest_may_begin_with_the_first_year(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("")
    times = ("--from", "0001-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z")
    done = run(
        "reputation",
        "backtest",
        "--policy",
        str(tmp_path / "p.toml"),
        *times,
        clickhouse_url="http://127.0.0.1:9",
    )
    assert done.exit_code == 3


def test_config_hides_secrets_and_tells_where_a_value_comes_from(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTLOOP_CLICKHOUSE_PASSWORD=hunter2\nPOSTLOOP_LINGER=1500ms\n")
    arguments = ["config", "--data-dir", str(tmp_path / "here")]
    done = run(*arguments, "--json", topic_retention="72h")
    config = json.loads(done.stdout)
    assert set(config["settings"]) == set(config["sources"]) == set(Settings.model_fields)
    assert (config["settings"]["linger"], config["sources"]["linger"]) == ("1500ms", ".env")
    assert (config["settings"]["topic_retention"], config["sources"]["topic_retention"]) == (
        "3d",
        "environment",
    )
    assert (config["sources"]["data_dir"], config["sources"]["log_level"]) == ("option", "default")
    assert config["settings"]["clickhouse_password"] == "(hidden)"
    assert "hunter2" not in done.output + run(*arguments).output


@given(milliseconds=st.integers(1, 10**10))
def test_a_duration_is_written_as_it_can_be_read(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(written(value)) == value


@pytest.mark.parametrize(
    "days", ["1000000000d", "9" * 400 + "d"], ids=["too many days", "no number of floats"]
)
def test_a_duration_that_cannot_be_counted_is_no_duration(days: str) -> None:
    with pytest.raises(ValueError, match="below 1,000,000,000 days"):
        parse_duration(days)


@pytest.mark.parametrize(
    "expires",
    [
        pytest.param("36501d", id="a day too long"),
        pytest.param("99999999d", id="after the last year"),
        pytest.param("9999999999999d", id="no duration"),
        pytest.param("0s", id="over at once"),
        pytest.param("soon", id="no number"),
    ],
)
def test_a_key_that_cannot_expire_so_is_refused_in_a_sentence(run: Run, expires: str) -> None:
    done = run("key", "create", "--account", "acme", "--expires", expires)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --expires") and done.stderr.count("\n") == 1


def test_an_age_that_reaches_back_before_all_years_is_refused_in_a_sentence(run: Run) -> None:
    done = run("deadletter", "list", "--since", "9999999d")
    assert (done.exit_code, done.stderr.partition(":")[0]) == (2, "error")


def test_a_role_that_does_not_exist_is_refused_with_those_that_do(run: Run) -> None:
    done = run("worker", "recoder")
    assert (done.exit_code, done.stderr) == (
        2,
        "error: no role 'recoder' in this release; there is: recorder, blocklist, reputation, webhooks\n",
    )


def test_a_worker_becomes_the_process_of_its_role(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(worker.os, "execv", lambda path, command: became.append(command))
    assert run("worker", "recorder").exit_code == 0
    assert became[0][1:] == ["-m", "postloop_streams", "recorder"]


def test_the_api_becomes_a_process_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(worker.os, "execv", lambda path, command: became.append(command))
    assert run("api", "--host", "::1", "--port", "0").exit_code == 0
    assert became[0][1:] == ["-m", "postloop.api", "--host", "::1", "--port", "0"]


def test_schemas_are_written_one_file_per_topic(run: Run, tmp_path: Path) -> None:
    assert run("schemas", "export", "--dir", str(tmp_path / "out")).exit_code == 0
    on_stdout = json.loads(run("schemas", "export").stdout)
    files = {path.name: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert files == on_stdout
    assert "email.send.v1.json" in files


def test_doctor_says_what_is_wrong_and_what_helps(run: Run, closed_port: int) -> None:
    there = {"kafka_brokers": f"127.0.0.1:{closed_port}", "clickhouse_url": f"http://127.0.0.1:{closed_port}"}
    done = run("doctor", "--json", **there)
    findings = {finding["check"]: finding for finding in map(json.loads, done.stdout.splitlines())}
    assert done.exit_code == 1
    assert {name for name, finding in findings.items() if not finding["ok"]} == {"broker", "clickhouse"}
    assert "nothing listens there" in findings["clickhouse"]["found"]
    assert "POSTLOOP_KAFKA_BROKERS" in findings["broker"]["todo"]


def test_doctor_says_what_helps_only_where_something_is_wrong(run: Run, closed_port: int) -> None:
    done = run("doctor", "--json", kafka_brokers=f"127.0.0.1:{closed_port}")
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["check"] for one in findings if one["ok"] and one["todo"]] == []


def test_doctor_reports_settings_that_are_wrong(run: Run) -> None:
    done = run("doctor", "--json", linger="soon")
    assert done.exit_code == 1
    assert "POSTLOOP_LINGER" in json.loads(done.stdout.splitlines()[-1])["found"]


@pytest.mark.parametrize(
    "arguments", [["topics", "create"], ["topics", "check"], ["topics", "describe"]], ids=" ".join
)
def test_an_unreachable_broker_is_one_sentence_and_exit_code_3(
    run: Run, closed_port: int, arguments: list[str]
) -> None:
    done = run(*arguments, kafka_brokers=f"127.0.0.1:{closed_port}")
    said = f"error: Kafka at 127.0.0.1:{closed_port} cannot be reached: nothing listens there (connection refused)\n"
    assert (done.exit_code, done.stderr) == (3, said)


@pytest.mark.parametrize(
    "arguments",
    [["deadletter", "list"], ["deadletter", "show", "x"], ["migrate"], ["key", "list"]],
    ids=" ".join,
)
def test_an_unreachable_database_is_one_sentence_and_exit_code_3(
    run: Run, closed_port: int, arguments: list[str]
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    done = run(*arguments, clickhouse_url=url)
    said = f"error: ClickHouse at {url} cannot be reached: nothing listens there (connection refused)\n"
    assert (done.exit_code, done.stderr.lstrip("\n")) == (3, said)


def test_a_wrong_password_of_the_database_is_one_sentence_that_does_not_show_it(
    run: Run, refusing_server: str
) -> None:
    there = {"clickhouse_url": refusing_server, "clickhouse_user": "ann", "clickhouse_password": "hunter2"}
    done = run("deadletter", "list", **there)
    said = "refused the user or the password (POSTLOOP_CLICKHOUSE_USER, POSTLOOP_CLICKHOUSE_PASSWORD)"
    assert (done.exit_code, done.stderr) == (3, f"error: ClickHouse at {refusing_server} {said}\n")
