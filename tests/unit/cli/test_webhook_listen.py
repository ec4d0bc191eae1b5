"""`postloop webhook listen` as a person starts it."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from postloop.adapters.webhook_keys import generate_secret, signer_of
from postloop.cli.main import app
from postloop.domain.webhook.signing import attempt_headers
from tests.support.ports import free_port

SECRET = generate_secret()
BODY = b'{"type":"email.\\u001b[31mbounced"}'


def post(url: str) -> int:
    """Send one webhook and return the status of the answer."""
    headers = attempt_headers(
        message_id="msg_1",
        timestamp_s=int(datetime.now(UTC).timestamp()),
        body=BODY,
        signers=[signer_of(SECRET)],
    )
    request = urllib.request.Request(url, data=BODY, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return int(response.status)


def post_as_soon_as_it_listens(url: str) -> None:
    give_up_s = time.monotonic() + 20
    while time.monotonic() < give_up_s:
        try:
            post(url)
            return
        except urllib.error.URLError:
            time.sleep(0.02)


def test_it_writes_json_lines_until_ctrl_c_which_is_no_error() -> None:
    code = "from postloop.cli.main import main; main()"
    command = [sys.executable, "-c", code, "webhook", "listen", "--port", "0", "--secret", SECRET, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())
            assert found
            assert [post(found.group()), post(found.group())] == [204, 204]
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["verdict"], line["webhook_id"], line["attempt"], line["status"]) for line in lines] == [
        ("verified", "msg_1", 1, 204),
        ("verified", "msg_1", 2, 204),
    ]
    assert lines[0]["body"] == BODY.decode()
    assert process.returncode == 0


def test_a_person_sees_a_line_without_control_characters_and_it_ends_after_so_many() -> None:
    port = str(free_port())
    sending = threading.Thread(target=post_as_soon_as_it_listens, args=(f"http://127.0.0.1:{port}/",))
    sending.start()
    result = CliRunner().invoke(app, ["webhook", "listen", "--port", port, "--count", "1"])
    sending.join()
    assert "unchecked email.?[31mbounced msg_1 attempt 1, answered 204" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--misbehave", "nicely"], "--misbehave is one of slow, hang", id="misbehaviour"),
        pytest.param(["--host", "0.0.0.0"], "reachable by others: say --open", id="open-host"),
        pytest.param(["--host", "hooks.example"], "reachable by others: say --open", id="name"),
        pytest.param(["--secret", "hunter2"], "a secret is whsec_ followed by base64", id="secret"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_exit_code_2(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["webhook", "listen", *arguments], env={"COLUMNS": "200"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "hunter2" not in result.stderr
