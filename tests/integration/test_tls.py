"""TLS and passwords: what works when all is right, and one sentence that says what to set when it is not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from postloop.adapters import migrations, topic_admin
from postloop.adapters.clickhouse import connect
from postloop.adapters.event_producer import EventProducer
from postloop.domain.errors import PostloopError
from postloop.domain.event_types import INPUT_TOPICS
from postloop.settings import Settings
from tests.support.broker_fixtures import chosen_broker
from tests.support.brokers import ApacheKafkaBroker, Broker
from tests.support.certificates import Authority
from tests.support.command_line import run_postloop, run_role
from tests.support.database import clickhouse_server
from tests.support.ports import free_port
from tests.support.processes import python_module, wait_until
from tests.support.secure_broker import PASSWORD, USER, SecureBroker
from tests.support.tls_proxy import TlsProxy

# Five seconds of trying, and what a process needs to start on a busy machine.
BOUND_S = 30.0
Values = dict[str, str]
Failure = Callable[..., str]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that signed nothing of what the servers show."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def secure_broker(authority: Authority) -> Iterator[SecureBroker]:
    with SecureBroker(authority) as running:
        yield running


@pytest.fixture(scope="module")
def tls_address(broker: Broker, authority: Authority, request: pytest.FixtureRequest) -> Iterator[str]:
    """A TLS port of Apache Kafka; of the embedded broker, one in front of it for those who must not get in."""
    if chosen_broker() is ApacheKafkaBroker:
        secure: SecureBroker = request.getfixturevalue("secure_broker")
        yield f"127.0.0.1:{secure.tls_port}"
        return
    with TlsProxy(broker.port, authority.server_context()) as proxy:
        yield f"127.0.0.1:{proxy.port}"


@dataclass(frozen=True)
class Locked:
    """A ClickHouse with a password: how to reach it by TLS, and its plain port."""

    right: Values
    plain_port: int


@pytest.fixture(scope="module")
def clickhouse(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    directory, port = tmp_path_factory.mktemp("clickhouse"), free_port()
    (directory / "password").write_text(PASSWORD)
    options = ("--user", USER, "--password-file", str(directory / "password"))
    with (
        clickhouse_server(directory / "data", port, *options) as server,
        TlsProxy(port, authority.server_context()) as proxy,
    ):
        right = {
            "clickhouse_url": f"https://127.0.0.1:{proxy.port}",
            "clickhouse_ca_file": str(authority.ca_file),
            "clickhouse_user": USER,
            "clickhouse_password": PASSWORD,
        }
        wait_until(lambda: is_up(right), timeout_s=30, what="ClickHouse answers", process=server)
        yield Locked(right, port)


def is_up(values: Values) -> bool:
    try:
        return bool(connect(Settings(**values), timeout_s=5).server_version)  # type: ignore[arg-type]
    except PostloopError:
        return False


@pytest.fixture
def failure(tmp_path: Path) -> Failure:
    """Return a runner of something that must fail; it returns the one sentence that was said."""

    def run(command: tuple[str, ...], **values: str) -> str:
        settings = {f"POSTLOOP_{name.upper()}": value for name, value in values.items()}
        started_s = time.monotonic()
        done = process(command, {**os.environ, "POSTLOOP_HEALTH_PORT": "0", **settings}, tmp_path)
        assert time.monotonic() - started_s < BOUND_S
        assert "mistyped" not in done.stdout + done.stderr
        if command[0] == "doctor":
            assert (done.returncode, done.stderr) == (1, "")
            return wrong_finding(done.stdout)
        assert (done.returncode, done.stdout) == (3, "")
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")

    return run


def process(command: tuple[str, ...], env: Values, cwd: Path) -> subprocess.CompletedProcess[str]:
    if command[0] == "worker":
        return run_role(command[1], env=env, cwd=cwd)
    return run_postloop(*command, env=env, cwd=cwd)


def wrong_finding(told: str) -> str:
    """Return what `doctor` says of the part that cannot be reached."""
    findings = [json.loads(line) for line in told.splitlines()]
    (said,) = [f["found"] for f in findings if not f["ok"] and f["check"] in ("broker", "clickhouse")]
    return str(said)


on_kafka = pytest.mark.parametrize(
    "command",
    [("worker", "recorder"), ("topics", "check"), ("simulate", "--events", "10"), ("doctor", "--json")],
    ids=lambda words: words[0],
)
on_clickhouse = pytest.mark.parametrize(
    "command",
    [("worker", "recorder"), ("migrate",), ("deadletter", "list"), ("doctor", "--json")],
    ids=lambda words: words[0],
)


@on_kafka
def test_tls_to_a_plain_port_of_kafka(
    failure: Failure, broker: Broker, clickhouse: Locked, command: tuple[str, ...]
) -> None:
    said = failure(command, **clickhouse.right, kafka_brokers=broker.bootstrap, kafka_security="ssl")
    # Apache Kafka ends the connection; the embedded broker takes the greeting for a long request and waits for more.
    why = "(it ended the TLS connection|it does not answer a TLS greeting)"
    doubt = r"is POSTLOOP_KAFKA_SECURITY=ssl right for this port\?"
    assert re.fullmatch(f"Kafka at {broker.bootstrap} cannot be reached: {why}; {doubt}", said)


@on_kafka
def test_no_tls_to_a_tls_port_of_kafka(
    failure: Failure, tls_address: str, clickhouse: Locked, command: tuple[str, ...]
) -> None:
    said = failure(command, **clickhouse.right, kafka_brokers=tls_address)
    doubt = "is POSTLOOP_KAFKA_SECURITY=plaintext right for this port?"
    assert (
        said
        == f"Kafka at {tls_address} cannot be reached: it ends the connection or answers in another protocol; {doubt}"
    )


@on_kafka
def test_a_certificate_of_kafka_by_an_unknown_authority(
    failure: Failure, tls_address: str, clickhouse: Locked, stranger: Authority, command: tuple[str, ...]
) -> None:
    trusting = {"kafka_security": "ssl", "kafka_ca_file": str(stranger.ca_file)}
    said = failure(command, **clickhouse.right, kafka_brokers=tls_address, **trusting)
    assert said == (
        f"Kafka at {tls_address} cannot be reached: its certificate is not trusted: "
        "POSTLOOP_KAFKA_CA_FILE must name the PEM file of who signed it"
    )


def test_a_certificate_of_kafka_for_another_name(
    failure: Failure, broker: Broker, authority: Authority
) -> None:
    trusting = {"kafka_security": "ssl", "kafka_ca_file": str(authority.ca_file)}
    with TlsProxy(broker.port, authority.server_context("kafka.example")) as proxy:
        address = f"127.0.0.1:{proxy.port}"
        said = failure(("topics", "check"), kafka_brokers=address, **trusting)
    assert said == (
        f"Kafka at {address} cannot be reached: its certificate is made for another name: "
        "use an address that the certificate names"
    )


@pytest.mark.kafka
@on_kafka
def test_a_wrong_password_at_kafka(
    failure: Failure, secure_broker: SecureBroker, clickhouse: Locked, command: tuple[str, ...]
) -> None:
    wrong = secure_broker.login("SCRAM-SHA-512", password="mistyped")
    said = failure(command, **clickhouse.right, **wrong)
    assert said.startswith(f"Kafka at {wrong['kafka_brokers']} ")
    assert "the user 'ann' or its password" in said


@pytest.mark.kafka
def test_a_wrong_password_that_kafka_gets_to_see(failure: Failure, secure_broker: SecureBroker) -> None:
    in_tls = secure_broker.login("PLAIN", password="mistyped")
    for wrong in (in_tls, secure_broker.clear_login(password="mistyped")):
        assert "the user 'ann' or its password" in failure(("topics", "check"), **wrong)


@pytest.mark.kafka
def test_a_way_to_log_in_that_kafka_does_not_offer(failure: Failure, secure_broker: SecureBroker) -> None:
    login = secure_broker.login("SCRAM-SHA-256")
    said = failure(("topics", "check"), **login)
    # Kafka closes right after it refused: what it said is not always read.
    assert said in (
        f"Kafka at {login['kafka_brokers']} does not offer the SASL mechanism SCRAM-SHA-256",
        f"Kafka at {login['kafka_brokers']} ended the connection while logging in: the user 'ann' or its password "
        "is wrong, SCRAM-SHA-256 is not offered, or the port is another",
    )


@on_clickhouse
def test_https_to_a_plain_port_of_clickhouse(
    failure: Failure, broker: Broker, clickhouse: Locked, command: tuple[str, ...]
) -> None:
    url = f"https://127.0.0.1:{clickhouse.plain_port}"
    said = failure(command, kafka_brokers=broker.bootstrap, **{**clickhouse.right, "clickhouse_url": url})
    assert said == f"ClickHouse at {url} cannot be reached: the port does not speak TLS"


@on_clickhouse
def test_http_to_an_https_port_of_clickhouse(
    failure: Failure, broker: Broker, clickhouse: Locked, command: tuple[str, ...]
) -> None:
    values = {name: value for name, value in clickhouse.right.items() if name != "clickhouse_ca_file"}
    url = values["clickhouse_url"].replace("https:", "http:")
    said = failure(command, kafka_brokers=broker.bootstrap, **{**values, "clickhouse_url": url})
    why = "it ended the connection without an answer (so does a port for https)"
    assert said == f"ClickHouse at {url} cannot be reached: {why}"


@on_clickhouse
def test_a_certificate_of_clickhouse_by_an_unknown_authority(
    failure: Failure, broker: Broker, clickhouse: Locked, stranger: Authority, command: tuple[str, ...]
) -> None:
    values = {**clickhouse.right, "clickhouse_ca_file": str(stranger.ca_file)}
    said = failure(command, kafka_brokers=broker.bootstrap, **values)
    assert said == (
        f"ClickHouse at {values['clickhouse_url']} cannot be reached: its certificate is not trusted: "
        "POSTLOOP_CLICKHOUSE_CA_FILE must name the PEM file of who signed it"
    )


@on_clickhouse
def test_a_wrong_password_at_clickhouse(
    failure: Failure, broker: Broker, clickhouse: Locked, command: tuple[str, ...]
) -> None:
    values = {**clickhouse.right, "clickhouse_password": "mistyped"}
    said = failure(command, kafka_brokers=broker.bootstrap, **values)
    assert said == (
        f"ClickHouse at {values['clickhouse_url']} refused the user or the password "
        "(POSTLOOP_CLICKHOUSE_USER, POSTLOOP_CLICKHOUSE_PASSWORD)"
    )


@pytest.mark.kafka
def test_every_way_in_that_is_right_works(secure_broker: SecureBroker, topic_prefix: str) -> None:
    ways = [secure_broker.tls(), secure_broker.login("SCRAM-SHA-512"), secure_broker.login("PLAIN")]
    for way in [*ways, secure_broker.clear_login()]:
        settings = Settings(**way, topic_prefix=topic_prefix)  # type: ignore[arg-type]
        created = topic_admin.create_topics(settings)
        assert {report.status for report in created} <= {"created", "as wanted"}


@pytest.fixture
def kafka_login(broker: Broker, request: pytest.FixtureRequest) -> Values:
    """The settings of a log-in by SCRAM over TLS; the embedded broker has neither and is reached plainly."""
    if chosen_broker() is not ApacheKafkaBroker:
        return {"kafka_brokers": broker.bootstrap}
    secure: SecureBroker = request.getfixturevalue("secure_broker")
    return secure.login("SCRAM-SHA-512")


def test_a_recorder_stores_what_comes_over_tls_with_passwords_on_both_sides(
    kafka_login: Values, clickhouse: Locked, topic_prefix: str, tmp_path: Path
) -> None:
    values = {
        **kafka_login,
        **clickhouse.right,
        "topic_prefix": topic_prefix,
        "group_prefix": topic_prefix + "postloop",
        "session_timeout": "6s",
        "insert_timeout": "4s",
        "health_port": "0",
        "data_dir": str(tmp_path),
    }
    settings = Settings(**values)  # type: ignore[arg-type]
    topic_admin.create_topics(settings)
    client = connect(settings)
    migrations.apply(client, settings)
    topics = [topic_prefix + topic for topic in INPUT_TOPICS.values()]
    with EventProducer(settings) as producer:
        producer.require_topics(topics)
        for number in range(300):
            producer.send(topics[number % len(topics)], a_send(number), slot=number)
        producer.send(topics[0], b"no event", slot=0)
        assert producer.flush() == 301
    env = {f"POSTLOOP_{name.upper()}": value for name, value in values.items()}
    with python_module(
        "postloop_streams", "recorder", log_path=tmp_path / "recorder.log", env=env
    ) as recorder:
        wait_until(
            lambda: stored(client) == (300, 1), timeout_s=60, what="everything is stored", process=recorder
        )
        assert recorder.terminate(timeout_s=30) == 0


def stored(client: Client) -> tuple[int, int]:
    """Return how many events and dead letters are stored."""
    rows = client.query("SELECT (SELECT uniqExact(event_id) FROM events), (SELECT count() FROM dead_letters)")
    events, letters = rows.first_row
    return int(events), int(letters)


def a_send(number: int) -> bytes:
    fields = {"event_id": f"e{number}", "occurred_at": datetime.now(UTC).isoformat(), "account_id": "a"}
    fields |= {"message_id": f"m{number}", "sender_domain": "shop.example", "recipient": "ann@gmail.com"}
    return json.dumps(fields).encode()
