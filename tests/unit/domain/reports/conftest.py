"""Sample reports, written for these tests in the forms of the servers that they are named after."""

from pathlib import Path

from postloop.domain.reports.model import Report
from postloop.domain.reports.reading import read_report

SAMPLES = Path(__file__).with_name("samples")
NAMES = sorted(path.stem for path in SAMPLES.glob("*.eml"))


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.eml").read_bytes()


def read(name: str) -> Report:
    return read_report(sample(name))


def message(*header: str, body: str = "") -> bytes:
    """Return a message of a mail system."""
    fields = ["From: MAILER-DAEMON@mx.example", "Date: Mon, 23 Nov 2026 09:03:00 +0000", *header]
    return ("\n".join(fields) + "\n\n" + body).encode()


def status(*recipients: str, message_fields: str = "Reporting-MTA: dns; mx.example") -> bytes:
    """Return a delivery status notification with these groups of recipient fields."""
    groups = "\n\n".join([message_fields, *recipients])
    return message(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b1",
        body=f"--b1\nContent-Type: message/delivery-status\n\n{groups}\n\n--b1--\n",
    )
