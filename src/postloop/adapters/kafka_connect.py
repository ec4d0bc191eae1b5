"""Connecting a client of kafka-python, so that a failure says in one sentence what is wrong and what to set."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from kafka.errors import KafkaTimeoutError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError

from postloop.adapters import kafka_security
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.kafka_security import kafka_client_args, kafka_translated
from postloop.adapters.tls import TLS_ENDED, tls_failure
from postloop.settings import Settings

# Where kafka-python tells why a connection failed while a client starts.
_BOOTSTRAP_LOG: Final = "kafka.net.manager"
_DEFAULT_PORT: Final = 9092
# A broker that restarts may refuse for a moment; a wrong address does for ever.
_REFUSED_PATIENCE_S: Final = 1.0
_REFUSED_PAUSE_S: Final = 0.1
_LOOK_TIMEOUT_S: Final = 1.0
_NOBODY: Final = "nothing listens there (connection refused)"
_NO_HOST: Final = "the name of the host is not known"

Client = TypeVar("Client")


def connect_kafka(kind: Callable[..., Client], settings: Settings, **options: Any) -> Client:
    """Return a client of class `kind` that has reached the cluster.

    Args:
        kind: KafkaAdminClient or KafkaProducer.
        settings: Addresses, TLS, user and password.
        options: More keyword arguments of that class.

    Raises:
        UnavailableError: No broker answers within `bootstrap_timeout_ms` (default 5 s); after one second where no
            address has anybody who listens.
        RefusedError: A broker answered and refused (user, password).
    """
    args = {**kafka_client_args(settings), **options}
    _require_a_listener(settings)
    if settings.kafka_uses_tls:
        _try_tls(settings, args["ssl_context"])
    where = f"Kafka at {settings.kafka_brokers}"
    with kafka_translated(where), _bootstrap_failures() as failures:
        try:
            return kind(**args)
        except KafkaTimeoutError:
            raise _why_not_reached(settings, failures) from None


def _require_a_listener(settings: Settings) -> None:
    """Return when somebody may be there: kafka-python tries an address where nobody is until its time is up.

    Raises:
        UnavailableError: Every address refuses connections or has a name that nobody knows.
    """
    deadline_s = time.monotonic() + _REFUSED_PATIENCE_S
    while absences := _absences(settings.broker_list):
        if time.monotonic() >= deadline_s:
            raise UnavailableError(f"Kafka at {settings.kafka_brokers} cannot be reached: {absences[-1]}")
        time.sleep(_REFUSED_PAUSE_S)


def _absences(brokers: Sequence[str]) -> list[str]:
    """Return why nobody is at any of the addresses; nothing when somebody may be at one."""
    absences = []
    for broker in brokers:
        try:
            socket.create_connection(_address(broker), timeout=_LOOK_TIMEOUT_S).close()
        except ConnectionRefusedError:
            absences.append(_NOBODY)
        except socket.gaierror as error:
            if error.errno != socket.EAI_NONAME:
                return []
            absences.append(_NO_HOST)
        except OSError:
            return []
        else:
            return []
    return absences


def _try_tls(settings: Settings, context: ssl.SSLContext) -> None:
    """Greet the brokers by TLS, up to the first that answers well.

    kafka-python 3.0.12 waits for ever for the end of a TLS greeting: with a port that takes what it is sent for
    the beginning of a long request, as a broker without TLS may do, a command would never end.

    Raises:
        UnavailableError: A broker is there, and TLS with it fails.
    """
    failure = ""
    for broker in settings.broker_list:
        try:
            _greet(broker, context)
        except TimeoutError:
            failure = "it does not answer a TLS greeting"
        except ssl.SSLError as error:
            failure = tls_failure(str(error), ca_setting="POSTLOOP_KAFKA_CA_FILE") or str(error)
        except ConnectionResetError:
            failure = TLS_ENDED
        except OSError:
            continue  # nothing there: the client has more patience and tells why itself
        else:
            return
    if failure:
        raise UnavailableError(
            f"Kafka at {settings.kafka_brokers} cannot be reached: {failure}{_hint(settings, failure)}"
        )


def _greet(broker: str, context: ssl.SSLContext) -> None:
    address = _address(broker)
    plain = _opened(address, kafka_security.BOOTSTRAP_TIMEOUT_MS / 1000)
    with plain, context.wrap_socket(plain, server_hostname=address[0]):
        pass


def _address(broker: str) -> tuple[str, int]:
    host, _, port = broker.rpartition(":")
    if not port.isdigit():
        host, port = broker, str(_DEFAULT_PORT)
    return host.strip("[]"), int(port)


def _opened(address: tuple[str, int], timeout_s: float) -> socket.socket:
    try:
        return socket.create_connection(address, timeout=timeout_s)
    except TimeoutError as error:  # not to be taken for a port that is silent about TLS
        raise ConnectionError from error


def _why_not_reached(settings: Settings, failures: list[Exception]) -> UnavailableError | RefusedError:
    """Return the error that says in one sentence why no broker could be used."""
    where = f"Kafka at {settings.kafka_brokers}"
    for failure in failures:
        if isinstance(failure, SaslAuthenticationFailedError):
            name = type(failure).__name__
            return RefusedError(
                f"{where} refused the user {settings.kafka_username!r} or its password", code=name
            )
        if isinstance(failure, UnsupportedSaslMechanismError):
            mechanism = settings.kafka_sasl_mechanism
            return RefusedError(
                f"{where} does not offer the SASL mechanism {mechanism}", code=type(failure).__name__
            )
    if settings.kafka_username and any("disconnected" in str(failure) for failure in failures):
        # Apache Kafka closes right after it refused a login: the refusal is read about every other time.
        wrong = f"the user {settings.kafka_username!r} or its password is wrong"
        why = f"{wrong}, {settings.kafka_sasl_mechanism} is not offered, or the port is another"
        return UnavailableError(f"{where} ended the connection while logging in: {why}")
    return UnavailableError(f"{where} cannot be reached: {_reason(settings, failures)}")


@contextmanager
def _bootstrap_failures() -> Iterator[list[Exception]]:
    """Collect why connections failed while a client starts, and keep the library from telling it line by line.

    kafka-python tries until its time is up and then says "timeout", whatever the reason; a wrong password or
    certificate appears only among the arguments of its log lines (seen in 3.0.12).
    """
    collector = _Collector()
    library, teller = logging.getLogger("kafka"), logging.getLogger(_BOOTSTRAP_LOG)
    level, propagate = teller.level, library.propagate
    teller.setLevel(logging.WARNING)
    teller.addHandler(collector)
    library.propagate = False
    try:
        yield collector.failures
    finally:
        library.propagate = propagate
        teller.removeHandler(collector)
        teller.setLevel(level)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.failures: list[Exception] = []

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        failures = (argument for argument in arguments if isinstance(argument, Exception))
        self.failures.extend(failure for failure in failures if not isinstance(failure, KafkaTimeoutError))


def _reason(settings: Settings, failures: list[Exception]) -> str:
    text = " ".join(str(failures[-1]).split()) if failures else ""
    if "ECONNREFUSED" in text:
        return _NOBODY
    if "DNS" in text:
        return _NO_HOST
    if "disconnected" in text or "Invalid frame length" in text:
        # A TLS port answers clear text with an alert and closes: which of the two is read first is chance.
        text = "it ends the connection or answers in another protocol"
    elif not text or "Timeout" in text or "TimedOut" in text:
        text = "no answer in time"
    return text + _hint(settings, text)


def _hint(settings: Settings, reason: str) -> str:
    """Return a doubt about the setting, unless the reason says already what is wrong."""
    if "certificate" in reason:
        return ""
    return f"; is POSTLOOP_KAFKA_SECURITY={settings.kafka_security} right for this port?"
