"""docs/blocklist-consumer.md: its examples run, are short, and the names in it exist."""

import inspect
import re
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any, get_args

import pytest

from postloop.client import Blocklist, NotReady, Stale, Stats
from postloop.client.answers import OnStale

PAGE = (Path(__file__).parents[3] / "docs" / "blocklist-consumer.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


class Stub:
    """A blocklist that answers as told."""

    def __init__(self, answer: bool | Exception) -> None:
        self._answer = answer
        self.asked: list[tuple[str, str]] = []

    def allowed(self, sender_domain: str, recipient: str) -> bool:
        self.asked.append((sender_domain, recipient))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def ask_postfix(stub: Stub, *questions: str) -> list[str]:
    """Run the policy service of the page and return what it says to each question."""
    [source] = [example for example in EXAMPLES if "socketserver" in example]
    names: dict[str, Any] = {"__name__": "policy", "blocklist": stub}
    exec(compile(source, "blocklist-consumer.md", "exec"), names)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), names["Policy"]) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with socket.create_connection(server.server_address, timeout=10) as connection:  # type: ignore[arg-type]
            lines = connection.makefile("rw", encoding="utf-8", newline="\n")
            answers = []
            for question in questions:
                lines.write(question)
                lines.flush()
                answers.append(lines.readline() + lines.readline())
        server.shutdown()
    return answers


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(True, "action=DUNNO\n\n", id="allowed"),
        pytest.param(False, "action=REJECT 5.7.1 The recipient is on the blocklist\n\n", id="blocked"),
        pytest.param(
            Stale("old"), "action=DEFER_IF_PERMIT 4.3.0 The blocklist is not available\n\n", id="stale"
        ),
        pytest.param(
            NotReady("new"), "action=DEFER_IF_PERMIT 4.3.0 The blocklist is not available\n\n", id="not-ready"
        ),
    ],
)
def test_postfix_is_told_what_to_do(answer: bool | Exception, said: str) -> None:
    stub = Stub(answer)
    question = "request=smtpd_access_policy\nsender=news@Shop.example\nrecipient=ada@example.com\n\n"
    assert ask_postfix(stub, question, question) == [said, said]
    assert stub.asked == [("shop.example", "ada@example.com")] * 2


def test_an_example_has_at_most_thirty_lines() -> None:
    assert EXAMPLES
    assert all(len(example.splitlines()) <= 30 for example in EXAMPLES)


def test_every_choice_and_figure_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)`", PAGE.partition("| `on_stale` |")[2].partition("\n\n")[0], re.MULTILINE)
    assert rows == list(get_args(OnStale))
    for name in Stats.__dataclass_fields__:
        assert f"`{name}`" in PAGE, name
    for name in re.findall(r"blocklist\.(\w+)\(", "".join(EXAMPLES)):
        assert callable(getattr(Blocklist, name)), name


def test_the_limit_of_staleness_is_the_one_in_force() -> None:
    limit_s = inspect.signature(Blocklist).parameters["max_staleness_s"].default
    assert f"`max_staleness_s` ({limit_s:g})" in PAGE
