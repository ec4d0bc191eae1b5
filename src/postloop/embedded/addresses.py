"""Where the parts of one embedded stack listen, and the settings with which its processes are started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from postloop.domain.roles import ROLES
from postloop.embedded.ports import PortChoice
from postloop.settings import PREFIX, Settings

HOST: Final = "127.0.0.1"
KAFKA_PORT: Final = 9092
CLICKHOUSE_PORT: Final = 8123
HTTP_PORT: Final = 8080
# The embedded broker answers JoinGroup after half of the session timeout (measured: 15 s at the usual 30 s).
_SHORT_TIMEOUTS: Final = {"session_timeout": "6s", "insert_timeout": "4s"}
# Security that a person set up for a real cluster must not be tried on the embedded parts.
_PLAIN: Final = {
    "kafka_security": "plaintext",
    "kafka_username": "",
    "kafka_password": "",
    "topic_replication": "1",
    "clickhouse_user": "default",
    "clickhouse_password": "",
    "clickhouse_database": "default",
    "clickhouse_cluster": "",
}


@dataclass(frozen=True)
class Addresses:
    """The ports of a stack, all on the loopback interface.

    Attributes:
        http_port: Of the API, which tells about the whole stack.
        role_ports: Role -> the port of its health.
        front_port: Where the supervisor tells the API how the stack is.
    """

    kafka_port: int
    clickhouse_port: int
    http_port: int
    role_ports: Mapping[str, int] = field(default_factory=dict)
    front_port: int = 0

    @property
    def kafka(self) -> str:
        return f"{HOST}:{self.kafka_port}"

    @property
    def clickhouse(self) -> str:
        return f"http://{HOST}:{self.clickhouse_port}"

    @property
    def http(self) -> str:
        return f"http://{HOST}:{self.http_port}"

    @property
    def front(self) -> str:
        return f"http://{HOST}:{self.front_port}"

    def role(self, name: str) -> str:
        """Return where a role serves its health."""
        return f"http://{HOST}:{self.role_ports[name]}"


def choose_addresses(
    *, kafka_port: int | None = None, clickhouse_port: int | None = None, http_port: int | None = None
) -> Addresses:
    """Return ports that are free now: what was asked for, else the usual ones, else any.

    Raises:
        PortTakenError: A port that was asked for is taken.
    """
    ports = PortChoice(host=HOST)
    return Addresses(
        kafka_port=ports.choose("kafka", asked=kafka_port, usual=KAFKA_PORT),
        clickhouse_port=ports.choose("clickhouse", asked=clickhouse_port, usual=CLICKHOUSE_PORT),
        http_port=ports.choose("http", asked=http_port, usual=HTTP_PORT),
        role_ports={name: ports.any_free() for name in ROLES},
        front_port=ports.any_free(),
    )


def overruled(settings: Settings) -> list[str]:
    """Return the settings that a person made and the stack does not follow, though other commands would."""
    return [
        name
        for name, plain in _PLAIN.items()
        if name in settings.model_fields_set
        and name != "topic_replication"
        and _text(settings, name) != plain
    ]


def _text(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)


def stack_settings(settings: Settings, addresses: Addresses) -> dict[str, str]:
    """Return what other commands must know to use the stack, by name of setting; goes into stack.json."""
    told = {"kafka_brokers": addresses.kafka, "clickhouse_url": addresses.clickhouse}
    given = settings.model_fields_set
    if not given & set(_SHORT_TIMEOUTS):
        told.update(_SHORT_TIMEOUTS)
    return told


def child_environment(
    settings: Settings, addresses: Addresses, *, data_dir: Path, health_port: int
) -> dict[str, str]:
    """Return what the stack adds to the environment of one of its processes; the rest is as the person set it."""
    known: Mapping[str, Any] = {
        **_PLAIN,
        **stack_settings(settings, addresses),
        "data_dir": str(data_dir),
        "log_format": "json",
        "health_host": HOST,
        "health_port": str(health_port),
    }
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in known.items()} | {
        "PYTHONUNBUFFERED": "1"
    }


def embedded_settings(settings: Settings, addresses: Addresses) -> Settings:
    """Return the settings with which the supervisor itself talks to its broker and its ClickHouse."""
    told = {**_PLAIN, **stack_settings(settings, addresses)}
    kept = {name: getattr(settings, name) for name in settings.model_fields_set - set(told)}
    return Settings(**{**kept, **told, "kafka_ca_file": None, "clickhouse_ca_file": None})
