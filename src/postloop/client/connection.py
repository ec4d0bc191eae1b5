"""Where the brokers are, as settings: given one by one, without a look at the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from postloop.settings import Settings, SettingsError


class KafkaSecurity(TypedDict, total=False):
    """How to talk to the brokers; the names and meanings are those of the settings `kafka_...`."""

    security: Literal["plaintext", "ssl", "sasl_ssl", "sasl_plaintext"]
    sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]
    username: str
    password: str
    ca_file: Path | str | None
    allow_cleartext: bool


class _Given(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is given: a sender's environment may hold settings that are meant for workers."""
        return (init_settings,)


def given_settings(brokers: str, security: KafkaSecurity) -> Settings:
    """Return settings that reach these brokers.

    Raises:
        SettingsError: The options are unknown or contradict each other.
    """
    unknown = sorted(set(security) - set(KafkaSecurity.__annotations__))
    if unknown:
        raise SettingsError(
            f"{unknown[0]} is no option; there are {', '.join(KafkaSecurity.__annotations__)}"
        )
    values: dict[str, Any] = {f"kafka_{name}": value for name, value in security.items()}
    try:
        return _Given(kafka_brokers=brokers, **values)
    except ValidationError as error:
        texts = [problem["msg"].removeprefix("Value error, ") for problem in error.errors()]
        raise SettingsError("; ".join(texts)) from None


def security_of(settings: Settings) -> KafkaSecurity:
    """Return how settings say to talk to the brokers."""
    return {
        "security": settings.kafka_security,
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "username": settings.kafka_username,
        "password": settings.kafka_password.get_secret_value(),
        "ca_file": settings.kafka_ca_file,
        "allow_cleartext": settings.kafka_allow_cleartext,
    }
