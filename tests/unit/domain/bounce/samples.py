"""The labelled replies of the files beside this one, as bounces."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from postloop.domain.bounce import Bounce

REPLIES: Final = Path(__file__).parent / "replies"
_FIELDS: Final = {
    "host": "remote_host",
    "domain": "recipient_domain",
    "cmd": "smtp_command",
    "status": "enhanced_code",
    "action": "action",
}


class Sample(NamedTuple):
    """One reply with what it means."""

    reason: str
    hard: bool
    bounce: Bounce
    line: str


def bounce_of(line: str) -> Bounce:
    """Return the bounce of one line: `key=value ... | text`, or only the text."""
    head, bar, text = line.partition(" | ")
    words = head.split()
    if not bar or not all("=" in word for word in words):
        return Bounce(diagnostic=line)
    given = dict(word.split("=", 1) for word in words)
    code = int(given.pop("code", "0"))
    return Bounce(smtp_code=code, diagnostic=text, **{_FIELDS[key]: value for key, value in given.items()})


def samples() -> Iterator[Sample]:
    """Yield every labelled reply."""
    for path in sorted(REPLIES.glob("*.toml")):
        for reason, lists in tomllib.loads(path.read_text(encoding="utf-8")).items():
            for kind, lines in lists.items():
                for line in lines:
                    yield Sample(reason, kind == "hard", bounce_of(line), line)


SAMPLES: Final = tuple(samples())
