"""docs/webhooks-receiving.md: its examples run and accept what is genuine only."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from postloop.adapters.webhook_keys import generate_secret, signer_of
from postloop.domain.webhook.signing import attempt_headers

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks-receiving.md").read_text(encoding="utf-8")
FASTAPI, PLAIN = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SECRET = generate_secret()
BODY = '{"type":"email.bounced","data":{"text":"ungültig"}}'.encode()


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "webhooks-receiving.md", "exec"), names)
    return names


def signed(body: bytes = BODY, *, age_s: int = 0, secret: str = SECRET) -> dict[str, str]:
    now_s = int(datetime.now(UTC).timestamp())
    signers = [signer_of(generate_secret()), signer_of(secret)]
    return attempt_headers(message_id="msg_1", timestamp_s=now_s - age_s, body=body, signers=signers)


async def status_of(app: Any, headers: dict[str, str], body: bytes) -> int:
    """Post to the application as a server would, and return the status of its answer."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/hook",
        "raw_path": b"/hook",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def tell(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, tell)
    return statuses[0]


async def test_the_fastapi_example_accepts_the_genuine_and_refuses_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRETS", f"{generate_secret()} {SECRET}")
    app = run(FASTAPI)["app"]
    assert await status_of(app, signed(), BODY) == 204
    assert capsys.readouterr().out == "msg_1 email.bounced\n"
    assert await status_of(app, signed(), BODY + b" ") == 400
    assert await status_of(app, signed(age_s=301), BODY) == 400
    assert await status_of(app, {}, BODY) == 400


def test_the_example_in_plain_python_accepts_the_genuine_and_refuses_the_rest() -> None:
    is_genuine = run(PLAIN)["is_genuine"]
    assert is_genuine(signed(), BODY, SECRET)
    assert not is_genuine(signed(), BODY + b" ", SECRET)
    assert not is_genuine(signed(age_s=310), BODY, SECRET)
    assert not is_genuine(signed(secret=generate_secret()), BODY, SECRET)
    assert not is_genuine({**signed(), "webhook-timestamp": "now"}, BODY, SECRET)


@pytest.mark.parametrize("source", [FASTAPI, PLAIN], ids=["fastapi", "plain"])
def test_the_body_of_an_example_is_ten_lines_at_most(source: str) -> None:
    start = source.index("@app" if "@app" in source else "def ")
    assert len([line for line in source[start:].splitlines() if line.strip()]) <= 10
