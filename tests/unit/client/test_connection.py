"""A connection that is given one by one looks at nothing else, and is judged by the rules of the settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from postloop.client import Blocklist
from postloop.client.connection import given_settings, security_of
from postloop.settings import Settings, SettingsError


def test_neither_the_environment_nor_a_file_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("POSTLOOP_KAFKA_SECURITY=ssl\n")
    monkeypatch.setenv("POSTLOOP_KAFKA_USERNAME", "worker")
    settings = given_settings("k1:9092,k2:9092", {})
    assert settings.broker_list == ["k1:9092", "k2:9092"]
    assert (settings.kafka_security, settings.kafka_username) == ("plaintext", "")


def test_security_passes_from_settings_to_a_connection_unchanged() -> None:
    settings = Settings(
        kafka_security="sasl_plaintext",
        kafka_sasl_mechanism="PLAIN",
        kafka_username="sender",
        kafka_password=SecretStr("secret"),
        kafka_allow_cleartext=True,
    )
    assert security_of(given_settings("k:9092", security_of(settings))) == security_of(settings)


def test_a_password_without_tls_is_refused() -> None:
    with pytest.raises(SettingsError, match="clear text"):
        Blocklist(bootstrap_servers="k:9092", security="sasl_plaintext", username="u", password="p")


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="sasl_mechanisms is no option"):
        Blocklist(bootstrap_servers="k:9092", sasl_mechanisms="PLAIN")  # type: ignore[call-arg]


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="hash_key is empty"):
        Blocklist(bootstrap_servers="k:9092", hash_key=b"")
