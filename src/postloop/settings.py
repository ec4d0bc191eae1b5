"""The settings of every process: one frozen model, read once at start from the environment and `.env`.

Each setting is `POSTLOOP_` + its name in capitals. Unknown and contradictory settings are refused with one
sentence. A running `postloop up` leaves its addresses in `stack.json` of its data directory; they fill in what
the environment does not say.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import ssl
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from postloop.domain.errors import PostloopError

PREFIX: Final = "POSTLOOP_"
STACK_FILE: Final = "stack.json"
# Names under this prefix belong to the test suite and are none of the product's business.
_FOREIGN_PREFIX: Final = "POSTLOOP_TEST_"
_SHORTEST_HASH_KEY: Final = 16
_LAST_PORT: Final = 65_535
_NO_HOST: Final = re.compile(r"[\s/@,\[\]]")
_LARGEST_FACTOR: Final = 1_000.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
# Fifty years. ClickHouse reckons when rows are due in 32 bits of seconds, which end in 2106: what would be kept beyond
# that is deleted at once.
_LONGEST: Final = timedelta(days=18_250)
# The windows of the views: 24 h are counted from minutes, 30 d from hours.
_SHORTEST_RETENTION: Final = {
    "raw_retention": (timedelta(days=2), "views and repairs count from raw events"),
    "minute_retention": (timedelta(days=2), "windows up to 24 h are counted from minutes"),
    "hour_retention": (timedelta(days=32), "windows up to 30 d are counted from hours"),
}
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class SettingsError(PostloopError):
    """A setting is unknown, malformed or contradicts another one."""


def parse_duration(value: object) -> object:
    """Return a timedelta for text like `250ms`, `30s`, `10m`, `72h` or `14d`; anything else is returned as it is.

    Raises:
        ValueError: The text is not a number with one of the units ms, s, m, h, d, or stands for a billion days or more.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"a duration is a number with a unit, like 250ms, 30s, 10m, 72h or 14d: {value!r}")
    try:
        return timedelta(seconds=float(match[1]) * _UNIT_S[match[2]])
    except OverflowError:
        raise ValueError(f"a duration is below {timedelta.max.days + 1:,} days") from None


def _of_some_length(value: timedelta) -> timedelta:
    if not timedelta(0) < value <= _LONGEST:
        raise ValueError(f"a duration is longer than 0 and at most {_LONGEST.days}d")
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration), AfterValidator(_of_some_length)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """Everything that can be configured. Durations carry a unit (`30s`), sizes are numbers of rows or bytes."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix=PREFIX, env_file=".env")

    # -- Kafka -------------------------------------------------------------------------------------------------
    kafka_brokers: str = Field(
        "127.0.0.1:9092", description="HOST:PORT of one or more brokers, comma separated"
    )
    kafka_security: Literal["plaintext", "ssl", "sasl_ssl", "sasl_plaintext"] = Field(
        "plaintext", description="How to talk to the brokers; sasl_plaintext needs kafka_allow_cleartext"
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="How the password is proved to the brokers"
    )
    kafka_username: str = Field("", description="User at the brokers, with sasl_ssl")
    kafka_password: SecretStr = Field(SecretStr(""), description="Password at the brokers")
    kafka_ca_file: Path | None = Field(
        None, description="PEM file that signs the brokers; default: the system's"
    )
    kafka_allow_cleartext: bool = Field(
        False, description="Allow a password without TLS (never in production)"
    )
    topic_prefix: str = Field(
        "", description="Put before every topic name, in and out", pattern=r"^[A-Za-z0-9._-]*$"
    )
    topic_partitions: int = Field(4, ge=1, le=10_000, description="Partitions of a topic that is created")
    topic_replication: int = Field(1, ge=1, le=10, description="Replicas of a topic that is created")
    topic_retention: Duration = Field(timedelta(days=7), description="How long Kafka keeps events")
    group_prefix: str = Field("postloop", min_length=1, description="Consumer groups are GROUP_PREFIX-ROLE")
    session_timeout: Duration = Field(
        timedelta(seconds=30), description="A worker silent for this long has left"
    )

    # -- ClickHouse --------------------------------------------------------------------------------------------
    clickhouse_url: str = Field(
        "http://127.0.0.1:8123", description="http:// or https:// address of ClickHouse"
    )
    clickhouse_user: str = Field("default", description="User at ClickHouse")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="Password at ClickHouse")
    clickhouse_database: str = Field(
        "default", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Where the tables and views are"
    )
    clickhouse_ca_file: Path | None = Field(
        None, description="PEM file that signs ClickHouse; default: well-known authorities"
    )
    clickhouse_cluster: str = Field(
        "", pattern=r"^[A-Za-z0-9_-]*$", description="Cluster name; empty: one node"
    )
    clickhouse_timeout: Duration = Field(timedelta(seconds=30), description="Longest time a query may take")
    raw_retention: Duration = Field(timedelta(days=90), description="How long raw events are kept")
    minute_retention: Duration = Field(timedelta(days=35), description="How long minute rollups are kept")
    hour_retention: Duration = Field(timedelta(days=400), description="How long hour rollups are kept")

    # -- Recorder ----------------------------------------------------------------------------------------------
    transport: Literal["batch", "kafka"] = Field(
        "batch",
        description="batch: whole fetched runs reach the recorder; kafka: Faust's own transport, slower",
    )
    dedup_window: Duration = Field(
        timedelta(hours=24), description="A repeated event id within this is dropped"
    )
    dedup_max_ids: int = Field(
        4_000_000, ge=1000, description="Most event ids a worker remembers (about 16 bytes each)"
    )
    run_max_rows: int = Field(20_000, ge=1, le=50_000, description="Rows of one insert at most")
    linger: Duration = Field(
        timedelta(milliseconds=250), description="How long rows wait for company when quiet"
    )
    insert_timeout: Duration = Field(
        timedelta(seconds=20), description="Longest time of one insert; shorter than session_timeout"
    )
    retry_budget: Duration = Field(
        timedelta(days=1), description="The worker stops when storing failed for this long"
    )
    buffer_max_rows: int = Field(20_000, ge=1000, description="Rows a worker holds in memory at most")
    invalid_max_ratio: float = Field(
        0.95,
        gt=0,
        le=1,
        description="The worker stops when this share of the last invalid_window records is invalid",
    )
    invalid_window: int = Field(5_000, ge=10, description="Records over which invalid_max_ratio is measured")

    # -- Blocklist ---------------------------------------------------------------------------------------------
    blocklist_lease: Duration = Field(
        timedelta(days=14), description="How long a hard bounce for the recipient's fault blocks"
    )
    blocklist_lease_by_reason: str = Field(
        "", description="Other durations for some reasons, like host_unknown=3d,mailbox_full=7d"
    )
    blocklist_escalation: str = Field(
        "",
        description="Factors on the leases of an address that follow each other, like 1,2,4; empty: all equal",
    )
    blocklist_release_on_delivery: bool = Field(
        False, description="A delivery after the bounce ends the block"
    )
    blocklist_guard: bool = Field(
        True, description="Hold the hard bounces of a mailbox provider that suddenly refuses everybody"
    )
    blocklist_guard_max_hold: Duration = Field(
        timedelta(hours=6), description="A hold ends after this, whatever the provider does"
    )
    blocklist_recipient_form: Literal["clear", "hmac-sha256"] = Field(
        "clear", description="How addresses stand in blocklist topics and tables; hmac-sha256 needs a key"
    )
    blocklist_hash_key: SecretStr = Field(
        SecretStr(""), description="Key of the hashed form; who loses it cannot look anybody up any more"
    )

    # -- Reputation --------------------------------------------------------------------------------------------
    reputation_interval: Duration = Field(
        timedelta(seconds=10), description="How often senders with news are judged"
    )
    reputation_policy: str = Field(
        "default",
        description="Limits: default, tencent, aws, google, or a .toml or .json file as for `reputation backtest`",
    )

    # -- Webhooks ----------------------------------------------------------------------------------------------
    webhook_master_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys that seal the secrets of endpoints: base64 of 32 bytes each, comma separated, newest first",
    )

    # -- API ---------------------------------------------------------------------------------------------------
    api_host: str = Field("127.0.0.1", description="Address on which `postloop api` listens")
    api_port: Port = Field(8080, description="Port of `postloop api`; 0: any free port")
    api_watch: str = Field(
        "",
        description="Workers that the API's /health shows too, like recorder=http://10.0.0.5:8090, comma separated",
    )

    # -- Serving and logs --------------------------------------------------------------------------------------
    health_host: str = Field("127.0.0.1", description="Address on which a worker serves its health")
    health_port: Port = Field(8090, description="/health, /ready and /metrics of a worker; 0: any free port")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug tells all")
    operator_contact: str = Field("", description="Shown where only an operator can help")
    data_dir: Path = Field(
        Path(".postloop"), description="Where `postloop up` keeps ClickHouse's data and its state"
    )
    memory_limit_mb: int = Field(
        0,
        ge=0,
        description="`postloop up` empties its broker above this memory, once all is stored; 0: half the machine",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the addresses of a running `postloop up` as the last word before the defaults."""
        said: dict[str, Any] = {**dotenv_settings(), **env_settings(), **init_settings()}
        directory = Path(said.get("data_dir", cls.model_fields["data_dir"].default))
        stack = InitSettingsSource(settings_cls, init_kwargs=dict(running_stack(directory)))
        return init_settings, env_settings, dotenv_settings, stack

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self._check_kafka_security()
        self._check_ca_files()
        self._check_blocklist()
        _ = self.api_watched
        _check_brokers(self.broker_list)
        _check_clickhouse_url(self.clickhouse_url)
        if self.insert_timeout >= self.session_timeout:
            raise ValueError(
                f"insert_timeout ({_seconds(self.insert_timeout)}) must be shorter than session_timeout "
                f"({_seconds(self.session_timeout)}): a worker that lost its partitions must not still be inserting"
            )
        for name, (shortest, why) in _SHORTEST_RETENTION.items():
            if getattr(self, name) < shortest:
                raise ValueError(f"{name} must be at least {shortest.days}d: {why}")
        return self

    def _check_kafka_security(self) -> None:
        sasl = self.kafka_security.startswith("sasl")
        if sasl and not (self.kafka_username and self.kafka_password.get_secret_value()):
            raise ValueError(f"kafka_security={self.kafka_security} needs kafka_username and kafka_password")
        if (self.kafka_username or self.kafka_password.get_secret_value()) and not sasl:
            raise ValueError(
                "kafka_username or kafka_password is set but kafka_security is not sasl_ssl: "
                "the password would not be used"
            )
        if self.kafka_security == "sasl_plaintext" and not self.kafka_allow_cleartext:
            raise ValueError(
                "kafka_security=sasl_plaintext sends the password in clear text: "
                "use sasl_ssl, or set POSTLOOP_KAFKA_ALLOW_CLEARTEXT=1 to accept that"
            )

    def _check_ca_files(self) -> None:
        if self.kafka_ca_file is not None and not self.kafka_uses_tls:
            raise ValueError(
                f"kafka_ca_file is set but kafka_security is {self.kafka_security}: no certificate would be checked"
            )
        if self.clickhouse_ca_file is not None and not self.clickhouse_url.startswith("https:"):
            raise ValueError(
                "clickhouse_ca_file is set but clickhouse_url is not https://: no certificate would be checked"
            )
        for name in ("kafka_ca_file", "clickhouse_ca_file"):
            path: Path | None = getattr(self, name)
            if path is not None:
                _require_certificates(name, path)

    def _check_blocklist(self) -> None:
        hashed = self.blocklist_recipient_form == "hmac-sha256"
        key = self.blocklist_hash_key.get_secret_value()
        if hashed and len(key) < _SHORTEST_HASH_KEY:
            raise ValueError(
                "blocklist_recipient_form=hmac-sha256 needs blocklist_hash_key "
                f"of {_SHORTEST_HASH_KEY} characters or more"
            )
        if key and not hashed:
            raise ValueError(
                "blocklist_hash_key is set but blocklist_recipient_form is clear: nothing would be hashed"
            )
        _ = self.blocklist_leases, self.blocklist_escalation_factors

    @property
    def api_watched(self) -> dict[str, str]:
        """The workers of api_watch: name -> address."""
        workers = {}
        for part in filter(None, (text.strip() for text in self.api_watch.split(","))):
            name, _, url = part.partition("=")
            if not name or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise ValueError(f"api_watch is a list like recorder=http://10.0.0.5:8090: {part!r}")
            workers[name] = url
        return workers

    @property
    def blocklist_leases(self) -> dict[str, timedelta]:
        """The durations of blocklist_lease_by_reason, by reason; the names are checked by who uses them."""
        leases = {}
        for part in filter(None, (text.strip() for text in self.blocklist_lease_by_reason.split(","))):
            reason, _, text = part.partition("=")
            lease = parse_duration(text)
            if not reason.strip("_").isalpha() or not isinstance(lease, timedelta) or lease <= timedelta(0):
                raise ValueError(f"blocklist_lease_by_reason is a list like host_unknown=3d: {part!r}")
            leases[reason] = lease
        return leases

    @property
    def blocklist_escalation_factors(self) -> tuple[float, ...]:
        """The factors of blocklist_escalation."""
        try:
            factors = tuple(float(text) for text in self.blocklist_escalation.split(",") if text.strip())
        except ValueError:
            factors = (0.0,)
        if any(not 0 < factor < _LARGEST_FACTOR for factor in factors):
            raise ValueError(
                f"blocklist_escalation is a list of factors like 1,2,4: {self.blocklist_escalation!r}"
            )
        return factors

    @property
    def kafka_uses_tls(self) -> bool:
        """Whether connections to the brokers are encrypted."""
        return self.kafka_security in ("ssl", "sasl_ssl")

    @property
    def broker_list(self) -> list[str]:
        """The brokers as a list of HOST:PORT."""
        return [broker.strip() for broker in self.kafka_brokers.split(",") if broker.strip()]


def _check_brokers(brokers: Sequence[str]) -> None:
    if not brokers:
        raise ValueError("kafka_brokers names no broker: HOST:PORT of one or more, comma separated")
    for broker in brokers:
        host, _, port = broker.rpartition(":")
        is_name = host and not _NO_HOST.search(host.removeprefix("[").removesuffix("]"))
        is_bare = ":" in host and not host.startswith("[")  # an IPv6 address stands in brackets
        if not is_name or is_bare or not port.isdecimal() or not 0 < int(port[:6]) <= _LAST_PORT:
            raise ValueError(f"kafka_brokers is a list of HOST:PORT, comma separated: {broker!r}")


def _check_clickhouse_url(url: str) -> None:
    """Refuse what is no address, and parts of one that would be ignored: a password in it would be shown, too."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        shown = "" if "@" in url else f": {url!r}"
        raise ValueError(f"clickhouse_url must look like http://HOST:PORT or https://HOST:PORT{shown}")
    if "@" in parts.netloc:
        raise ValueError(
            "clickhouse_url must not hold a user or password: clickhouse_user and clickhouse_password are for that"
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("clickhouse_url must end behind the port: clickhouse_database names the database")


def _require_certificates(name: str, path: Path) -> None:
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        raise ValueError(f"{name} holds no certificate in PEM form: {path}") from None
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}: {path}") from None


def load_settings(*, data_dir: Path | None = None) -> Settings:
    """Return the settings in force. The environment wins over `.env`, which wins over a running `postloop up`.

    Args:
        data_dir: Where to look for a running stack; default: POSTLOOP_DATA_DIR or `.postloop`.

    Raises:
        SettingsError: With one sentence for every setting that is wrong.
    """
    try:
        in_file = dotenv_values(".env")
    except UnicodeDecodeError:
        raise SettingsError(".env is not UTF-8") from None
    _refuse_unknown([*os.environ, *in_file])
    try:
        return Settings() if data_dir is None else Settings(data_dir=data_dir)
    except ValidationError as error:
        raise SettingsError(_sentences(error)) from None


def running_stack(directory: Path) -> dict[str, str]:
    """Return the addresses of the stack that runs on a data directory, by name of setting; empty when none does."""
    try:
        stack = json.loads((directory / STACK_FILE).read_text(encoding="utf-8"))
        if not _is_alive(int(stack["pid"])):
            return {}
        return {
            str(name): str(value)
            for name, value in stack["settings"].items()
            if name in Settings.model_fields
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _is_alive(pid: int) -> bool:
    """Return whether a process has this id; a killed `postloop up` leaves its file behind."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # it lives, and belongs to somebody else
    except (OSError, OverflowError):
        return False
    return True


def _refuse_unknown(variables: Iterable[str]) -> None:
    # Capitals do not count where the values are read, so they do not here.
    names = map(str.upper, variables)
    ours = (v for v in names if v.startswith(PREFIX) and not v.startswith(_FOREIGN_PREFIX))
    for name in (variable.removeprefix(PREFIX).lower() for variable in ours):
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = (
                f"; did you mean {PREFIX}{near[0].upper()}?"
                if near
                else "; `postloop config` lists all settings"
            )
            raise SettingsError(f"{PREFIX}{name.upper()} is not a setting of Postloop{hint}")


def _sentences(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        text = problem["msg"].removeprefix("Value error, ")
        place = ".".join(str(part) for part in problem["loc"])
        # A secret must not reach a log by way of an error message.
        shown = "" if not place or "password" in place else f" (it is {problem['input']!r})"
        lines.append(f"{PREFIX}{place.upper()}: {text}{shown}" if place else text)
    return "\n".join(lines)


def _seconds(value: timedelta) -> str:
    return f"{value.total_seconds():g}s"
