"""Apache Kafka with listeners that want TLS, a password, or both."""

from __future__ import annotations

from pathlib import Path

from tests.support.brokers import ApacheKafkaBroker
from tests.support.certificates import Authority
from tests.support.ports import free_ports

USER, PASSWORD = "ann", "right horse"
_SCRAM = "SCRAM-SHA-512"


class SecureBroker(ApacheKafkaBroker):
    """One node with four listeners: plain, TLS, TLS with a password, and a password in clear text."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self._authority = authority
        self.tls_port, self.sasl_tls_port, self.sasl_clear_port = free_ports(3)

    def login(self, mechanism: str = _SCRAM, *, password: str = PASSWORD) -> dict[str, str]:
        """Return the settings of a client that logs in over TLS."""
        return {
            **self.tls(self.sasl_tls_port),
            "kafka_security": "sasl_ssl",
            "kafka_sasl_mechanism": mechanism,
            "kafka_username": USER,
            "kafka_password": password,
        }

    def tls(self, port: int | None = None) -> dict[str, str]:
        """Return the settings of a client that trusts this broker and has no password."""
        return {
            "kafka_brokers": f"127.0.0.1:{port or self.tls_port}",
            "kafka_security": "ssl",
            "kafka_ca_file": str(self._authority.ca_file),
        }

    def clear_login(self, *, password: str = PASSWORD) -> dict[str, str]:
        """Return the settings of a client that sends its password in clear text."""
        return {
            "kafka_brokers": f"127.0.0.1:{self.sasl_clear_port}",
            "kafka_security": "sasl_plaintext",
            "kafka_allow_cleartext": "1",
            "kafka_sasl_mechanism": "PLAIN",
            "kafka_username": USER,
            "kafka_password": password,
        }

    def _format_options(self) -> list[str]:
        return ["--add-scram", f"{_SCRAM}=[name={USER},password={PASSWORD}]"]

    def _settings(self) -> dict[str, str]:
        settings = super()._settings()
        more = {
            "TLS": ("SSL", self.tls_port),
            "LOGIN": ("SASL_SSL", self.sasl_tls_port),
            "CLEAR": ("SASL_PLAINTEXT", self.sasl_clear_port),
        }
        addresses = [f"{name}://127.0.0.1:{port}" for name, (_, port) in more.items()]
        for key in ("listeners", "advertised.listeners"):
            settings[key] = ",".join([settings[key], *addresses])
        protocols = "listener.security.protocol.map"
        settings[protocols] = ",".join(
            [settings[protocols], *(f"{name}:{how}" for name, (how, _) in more.items())]
        )
        return {**settings, **_passwords(), **_certificates(self._authority.key_and_certificate())}


def _passwords() -> dict[str, str]:
    package = "org.apache.kafka.common.security"
    plain = f'{package}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
    return {
        "sasl.enabled.mechanisms": f"{_SCRAM},PLAIN",
        "listener.name.login.scram-sha-512.sasl.jaas.config": f"{package}.scram.ScramLoginModule required;",
        "listener.name.login.plain.sasl.jaas.config": plain,
        "listener.name.clear.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.clear.plain.sasl.jaas.config": plain,
    }


def _certificates(file: Path) -> dict[str, str]:
    return {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(file), "ssl.client.auth": "none"}
