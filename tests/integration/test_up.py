"""`postloop up`: ready in time, found by other commands, whole again after every kill, gone after Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import KafkaProducer

from postloop.domain.roles import API, ROLES
from postloop.settings import STACK_FILE
from tests.support.command_line import run_postloop
from tests.support.database import copy_migrated
from tests.support.ports import free_port
from tests.support.processes import ChildProcess, assert_gone, descendants, wait_until
from tests.support.webhooks import Receiver

pytestmark = pytest.mark.skipif(
    os.environ.get("POSTLOOP_TEST_BROKER") == "kafka", reason="`postloop up` always runs the embedded broker"
)

POSTLOOP = [sys.executable, "-c", "from postloop.cli.main import main; main()"]
# What is promised of a machine that does nothing else; the test about it is `quiet`.
READY_S = 30.0
STOP_S = 10.0
# For all other starts and stops: long enough for a machine that is busy with other tests.
PATIENCE_S = 90.0


class Up:
    """One `postloop up --json` as a process, and what it said."""

    def __init__(self, directory: Path, *options: str, **settings: str) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.started_s = time.monotonic()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTLOOP_")}
        environment |= {f"POSTLOOP_{name.upper()}": value for name, value in settings.items()}
        self.environment = environment
        ports = [] if options else ["--kafka-port", "0", "--clickhouse-port", "0", "--api-port", "0"]
        argv = [*POSTLOOP, "up", "--json", "--data-dir", str(self.data_dir), *ports, *options]
        self.process = ChildProcess(
            argv, log_path=directory / "up.log", cwd=directory, env=settings_env(settings)
        ).start()

    def said(self) -> list[dict[str, Any]]:
        lines = self.process.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def events(self, event: str, component: str | None = None) -> list[dict[str, Any]]:
        return [e for e in self.said() if e["event"] == event and component in (None, e.get("component"))]

    def wait_ready(self) -> dict[str, Any]:
        return wait_until(
            lambda: self.events("ready"),
            timeout_s=PATIENCE_S,
            what="the stack is ready",
            process=self.process,
        )[0]

    def wait_again(self, component: str, *, times: int) -> None:
        wait_until(
            lambda: len(self.events("component_ready", component)) >= times,
            timeout_s=PATIENCE_S,
            what=f"{component} is ready for the {times}. time",
            process=self.process,
        )

    def pid(self, component: str) -> int:
        return int(self.events("starting", component)[-1]["pid"])

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        in_directory = ("--data-dir", str(self.data_dir))
        return run_postloop(*arguments, *in_directory, env=self.environment, cwd=self.directory)


def settings_env(settings: dict[str, str]) -> dict[str, str]:
    return {f"POSTLOOP_{name.upper()}": value for name, value in settings.items()}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    running: list[Up] = []

    def start(*options: str, new: bool = False, **settings: str) -> Up:
        # Its own first migration takes three seconds of processor: `new` is for the test that is about the first start.
        if not new and not (tmp_path / "data").exists():
            (tmp_path / "data").mkdir()
            copy_migrated(tmp_path / "data" / "clickhouse")
        running.append(Up(tmp_path, *options, **settings))
        return running[-1]

    yield start
    for one in running:
        below = descendants(one.process.pid) if one.process.is_running else []
        one.process.kill_session()
        assert_gone(below)


def get(url: str, *, key: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def event() -> bytes:
    now = datetime.now(UTC).isoformat()
    return json.dumps(
        {
            "event_id": uuid.uuid4().hex,
            "occurred_at": now,
            "account_id": "a1",
            "message_id": uuid.uuid4().hex,
            "sender_domain": "shop.example",
            "recipient": "ann@gmail.com",
        }
    ).encode()


def produce(kafka: str, count: int, *, padding: int = 0) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka, linger_ms=20)
    try:
        for _ in range(count):
            value = event()
            producer.send(
                "email.send", value=value[:-1] + b', "pad": "' + b"x" * padding + b'"}' if padding else value
            )
        producer.flush(timeout=60)
    finally:
        producer.close()


def stored(clickhouse: str) -> int:
    return int(get(f"{clickhouse}/?query=SELECT%20count()%20FROM%20events")[1])


@pytest.mark.quiet
def test_up_is_ready_and_stops_in_time_on_the_ports_asked_for_and_other_commands_find_it(
    up: Callable[..., Up],
) -> None:
    kafka, clickhouse, http = (free_port() for _ in range(3))
    ports = ("--kafka-port", str(kafka), "--clickhouse-port", str(clickhouse), "--api-port", str(http))
    stack = up(*ports, new=True)
    ready = stack.wait_ready()
    assert time.monotonic() - stack.started_s < READY_S
    assert ready == {
        "event": "ready",
        "kafka": f"127.0.0.1:{kafka}",
        "clickhouse": f"http://127.0.0.1:{clickhouse}",
        "http": f"http://127.0.0.1:{http}",
    }
    left = json.loads((stack.data_dir / STACK_FILE).read_text())
    assert left["settings"]["kafka_brokers"] == ready["kafka"]
    assert left["settings"]["clickhouse_url"] == ready["clickhouse"]
    assert left["pid"] == stack.process.pid

    doctor = stack.run("doctor", "--json")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert stack.run("topics", "check").returncode == 0

    wait_until(lambda: get(f"{ready['http']}/ready")[0] == 200, timeout_s=5, what="/ready says yes")
    status, body = get(f"{ready['http']}/health")
    health = json.loads(body)
    assert (status, set(health["components"])) == (
        200,
        {"broker", "clickhouse", "recorder", "blocklist", "reputation", "webhooks", "api"},
    )
    assert "keeps everything in memory" in health["note"]
    metrics = get(f"{ready['http']}/metrics")[1]
    assert 'postloop_stack_component_ready{component="recorder",role="up"} 1.0' in metrics
    assert "postloop_build_info{" in metrics
    assert all(f'role="{role}"' in metrics for role in (*ROLES, API))

    second = stack.run("up", "--json")
    assert second.returncode == 2
    assert f"a stack already runs on {stack.data_dir} (pid {stack.process.pid})" in second.stderr
    assert "Traceback" not in second.stderr

    elsewhere = ("--data-dir", str(stack.directory / "other"))
    other = run_postloop(
        "up", *elsewhere, "--kafka-port", str(kafka), env=stack.environment, cwd=stack.directory
    )
    assert other.returncode == 2
    assert other.stderr.startswith(f"error: port {kafka} (kafka) is taken")

    stop(stack, signal.SIGINT, within_s=STOP_S)


def test_every_part_comes_back_after_a_kill_and_a_killed_stack_leaves_no_process(
    up: Callable[..., Up],
) -> None:
    stack = up()
    ready = stack.wait_ready()
    produce(ready["kafka"], 10)
    wait_until(lambda: stored(ready["clickhouse"]) == 10, timeout_s=20, what="the first events are stored")

    assert (
        " ".join(psutil.Process(stack.pid("recorder")).cmdline())
        .strip()
        .endswith("-m postloop_streams recorder")
    )
    os.kill(stack.pid("recorder"), signal.SIGKILL)
    stack.wait_again("recorder", times=2)
    os.kill(stack.pid("clickhouse"), signal.SIGKILL)
    stack.wait_again("clickhouse", times=2)
    # The broker comes back empty: its topics are made again and the recorder starts with them.
    os.kill(stack.pid("broker"), signal.SIGKILL)
    stack.wait_again("broker", times=2)
    stack.wait_again("recorder", times=3)
    assert [e["reason"] for e in stack.events("ended", "broker")] == ["killed by SIGKILL"]
    assert stack.run("topics", "check").returncode == 0

    produce(ready["kafka"], 7)
    wait_until(
        lambda: stored(ready["clickhouse"]) == 17,
        timeout_s=20,
        what="events of the new broker are stored",
        process=stack.process,
    )
    wait_until(
        lambda: get(f"{ready['http']}/ready")[0] == 200,
        timeout_s=10,
        what="/ready says yes again",
        process=stack.process,
    )

    below = descendants(stack.process.pid)
    stack.process.kill()
    assert_gone(below, timeout_s=5)
    # Nobody takes it for a running one.
    config = json.loads(stack.run("config", "--json").stdout)
    assert config["settings"]["kafka_brokers"] != ready["kafka"]
    assert config["sources"]["kafka_brokers"] == "default"


def test_a_stop_stores_what_was_produced_and_leaves_no_process(up: Callable[..., Up]) -> None:
    stack = up()
    ready = stack.wait_ready()
    produce(ready["kafka"], 3000)
    stop(stack, signal.SIGINT)
    assert not stack.events("not_all_stored")

    again = up()
    # ClickHouse keeps what was stored; the topics start empty.
    ready = ready_again(again, times=2)
    assert stored(ready["clickhouse"]) == 3000
    # The operator's key was told once, and opens the API after a restart too.
    (told,) = again.events("operator_key")
    assert get(f"{ready['http']}/v1/blocklist/ann@gmail.com", key=told["key"])[0] == 200
    assert get(f"{ready['http']}/v1/blocklist/ann@gmail.com")[0] == 401

    # The other signal, and another role is down. Webhooks did not read all of it; what the recorder did not store would
    # be in that number as well, and be lost.
    os.kill(again.pid("webhooks"), signal.SIGKILL)
    produce(ready["kafka"], 2000)
    stop(again, signal.SIGTERM)
    last = up()
    assert stored(ready_again(last, times=3)["clickhouse"]) == 5000


def stop(stack: Up, number: signal.Signals, *, within_s: float = PATIENCE_S) -> None:
    """Stop a stack with a signal and assert that nothing is left of it."""
    below = descendants(stack.process.pid)
    assert len(below) >= 3
    stack.process.send(number)
    assert stack.process.wait(timeout_s=within_s) == 0
    assert_gone(below, timeout_s=0.5)
    assert not (stack.data_dir / STACK_FILE).exists()


def ready_again(stack: Up, *, times: int) -> dict[str, Any]:
    """Return the last "ready" of a log that so many runs wrote to."""
    return wait_until(
        lambda: stack.events("ready")[times - 1 :],
        timeout_s=PATIENCE_S,
        what=f"the stack is ready for the {times}. time",
        process=stack.process,
    )[0]


def test_a_stop_while_starting_leaves_no_process(up: Callable[..., Up]) -> None:
    stack = up()
    wait_until(
        lambda: stack.events("starting", "clickhouse"), timeout_s=20, what="ClickHouse is being started"
    )
    below = descendants(stack.process.pid)
    stack.process.send(signal.SIGINT)
    assert stack.process.wait(timeout_s=PATIENCE_S) == 0
    assert_gone(below, timeout_s=0.5)


def test_the_broker_is_emptied_at_its_memory_limit_once_everything_is_stored(up: Callable[..., Up]) -> None:
    stack = up(memory_limit_mb="40")
    ready = stack.wait_ready()
    produced = 0
    while not stack.events("broker_memory"):
        produce(ready["kafka"], 200, padding=3_500)
        produced += 200
        assert produced < 20_000
        time.sleep(0.5)  # memory is looked at once a second
    # Half of the limit is used: what is missing comes in one burst, and must not count as lost. It ends short of the
    # last resort, a quarter above the limit: there the broker waits for the recorder, however slow that is.
    broker = psutil.Process(stack.pid("broker"))
    while broker.memory_info().rss < 44 * 1024 * 1024:
        produce(ready["kafka"], 500, padding=3_500)
        produced += 500
    stack.wait_again("broker", times=2)
    (emptied,) = stack.events("restarting", "broker")
    assert "restarted empty: everything in it is stored in ClickHouse" in emptied["reason"]
    stack.wait_again("recorder", times=2)
    assert stored(ready["clickhouse"]) == produced
    assert psutil.Process(stack.pid("broker")).memory_info().rss < 40 * 1024 * 1024


def test_a_missing_right_to_write_the_data_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_postloop("up", "--data-dir", str(tmp_path / "file" / "data"), env=os.environ, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: data directory {tmp_path}/file/data cannot be used: Not a directory\n"


def bounce() -> dict[str, Any]:
    """Return a hard bounce."""
    return {**json.loads(event()), "smtp_code": 550, "enhanced_code": "5.1.1", "diagnostic": "no such user"}


def publish(kafka: str, one: dict[str, Any]) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka, acks="all")
    try:
        producer.send("email.bounce", value=json.dumps(one).encode()).get(timeout=30)
    finally:
        producer.close()


def test_webhooks_go_on_without_clickhouse_and_wait_through_a_restart(up: Callable[..., Up]) -> None:
    with Receiver() as receiver:
        stack = up()
        (ready,) = wait_until(lambda: stack.events("ready"), timeout_s=PATIENCE_S, what="ready")
        key = stack.data_dir / "webhook-master.key"
        assert key.stat().st_mode & 0o777 == 0o600
        options = ("--account", "a1", "--url", receiver.url, "--event", "email.bounced", "--json")
        added = stack.run("webhook", "add", *options, "--allow-private-network", "127.0.0.0/8")
        made = json.loads(added.stdout)
        endpoint = made["endpoint_id"]
        time.sleep(2)  # the worker follows the topic of endpoints

        clickhouse = psutil.Process(stack.pid("clickhouse"))
        clickhouse.suspend()
        publish(ready["kafka"], bounce())
        receiver.wait(1)[0].verify(made["secret"])
        clickhouse.resume()
        attempts = ("webhook", "attempts", endpoint, "--json")
        wait_until(lambda: stack.run(*attempts).stdout, timeout_s=30, what="the log catches up", poll_s=1.0)

        receiver.answer = lambda number: 503
        waiting = bounce()
        publish(ready["kafka"], waiting)
        receiver.until(lambda: waiting["event_id"] in receiver.event_ids(), "the first attempt")
        stack.process.send(signal.SIGINT)
        assert stack.process.wait(timeout_s=PATIENCE_S) == 0
        receiver.answer = lambda number: 204
        before = len(receiver.arrived)
        stack.process.log_path.unlink()  # the next one appends to it
        again = up()
        wait_until(lambda: again.events("ready"), timeout_s=PATIENCE_S, what="ready again")
        assert again.events("restored", "webhooks") == [
            {"event": "restored", "component": "webhooks", "entries": 1}
        ]
        last = receiver.wait(before + 1)[-1]
        last.verify(made["secret"])
        assert len({one.message_id for one in receiver.arrived}) == 2
        assert last.document["data"]["event_id"] == waiting["event_id"]
        assert endpoint in again.run("webhook", "list", "--json").stdout
