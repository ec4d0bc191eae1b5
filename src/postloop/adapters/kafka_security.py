"""How kafka-python reaches the configured brokers, and its errors as the two kinds a caller can act on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import (
    AuthorizationError,
    KafkaError,
    MessageSizeTooLargeError,
    SaslAuthenticationFailedError,
    UnknownTopicOrPartitionError,
)

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.tls import tls_context
from postloop.settings import Settings

# The library reports every reconnect to whoever listens. Without a handler of ours Python would print them on
# stderr between the lines that a person reads; configured logging still gets them.
logging.getLogger("kafka").addHandler(logging.NullHandler())

BOOTSTRAP_TIMEOUT_MS = 5_000
_REFUSALS = (
    AuthorizationError,
    MessageSizeTooLargeError,
    SaslAuthenticationFailedError,
    UnknownTopicOrPartitionError,
)


def kafka_client_args(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments that any client of kafka-python needs to reach the configured brokers."""
    args: dict[str, Any] = {
        "bootstrap_servers": settings.broker_list,
        "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
        "security_protocol": settings.kafka_security.upper(),
    }
    if settings.kafka_security.startswith("sasl"):
        args["sasl_mechanism"] = settings.kafka_sasl_mechanism
        args["sasl_plain_username"] = settings.kafka_username
        args["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    if settings.kafka_uses_tls:
        args["ssl_context"] = tls_context(settings.kafka_ca_file)
    return args


@contextmanager
def kafka_translated(what: str) -> Iterator[None]:
    """Turn every error of kafka-python raised inside into UnavailableError or RefusedError, naming `what`."""
    try:
        yield
    except KafkaError as error:
        raise kafka_refusal(what, error) from error
    except OSError as error:
        raise UnavailableError(f"{what} cannot be reached: {error}") from error


def kafka_refusal(what: str, error: BaseException) -> UnavailableError | RefusedError:
    """Return the error that a caller can act on; one that waiting cannot cure is a RefusedError."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, _REFUSALS):
        return RefusedError(f"{what} refused: {text}", code=type(error).__name__)
    return UnavailableError(f"{what} cannot be reached: {text}")
