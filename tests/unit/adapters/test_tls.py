"""Failures of TLS in a person's words."""

import pytest

from postloop.adapters.tls import tls_failure

CA = "POSTLOOP_KAFKA_CA_FILE"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)",
            f"its certificate is not trusted: {CA} must name the PEM file of who signed it",
            id="signed by itself",
        ),
        pytest.param(
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)",
            "its certificate has expired",
            id="expired",
        ),
        pytest.param(
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not "
            "valid for 'kafka'. (_ssl.c:1006)",
            "its certificate is made for another name: use an address that the certificate names",
            id="another name",
        ),
        pytest.param(
            "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)",
            "the port does not speak TLS",
            id="OpenSSL 1.1.1 to 3.1",
        ),
        pytest.param(
            "[SSL: RECORD_LAYER_FAILURE] record layer failure (_ssl.c:1032)",
            "the port does not speak TLS",
            id="OpenSSL from 3.2 on",
        ),
        pytest.param(
            "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)",
            "it ended the TLS connection",
            id="the connection ends",
        ),
        pytest.param("[Errno 104] Connection reset by peer", None, id="not of TLS"),
    ],
)
def test_a_failure_of_tls_says_what_to_set(text: str, said: str | None) -> None:
    assert tls_failure(f"Max retries exceeded (Caused by SSLError({text!r}))", ca_setting=CA) == said
