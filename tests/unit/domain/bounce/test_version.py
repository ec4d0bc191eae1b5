"""A verdict's version changes with whatever decides it."""

from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from postloop.domain.bounce import RULES_VERSION

PACKAGE = files("postloop.domain.bounce")


def digest() -> str:
    """Return a digest of the rule files and of the code that reads them."""
    rules = [path for path in (PACKAGE / "rules").iterdir() if path.name.endswith(".toml")]
    code = [path for path in PACKAGE.iterdir() if path.name.endswith(".py") and path.name != "version.py"]
    found = sha256()
    for path in sorted([*rules, *code], key=_name):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def _name(path: Traversable) -> str:
    return path.name


def test_the_version_is_the_digest_of_rules_and_code() -> None:
    assert digest() == RULES_VERSION, f'write RULES_VERSION: Final = "{digest()}" into version.py'
