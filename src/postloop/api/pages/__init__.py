"""Pages for people. Each is one file that loads nothing, from here or from elsewhere: its policy forbids it."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.responses import HTMLResponse

_INLINE: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def page_response(name: str) -> HTMLResponse:
    """Return a page of this package by its name without suffix."""
    text = _text(name)
    return html_response(text)


def html_response(text: str) -> HTMLResponse:
    """Return a page with the policy under which nothing but its own scripts and styles runs."""
    return HTMLResponse(
        text,
        headers={
            "Content-Security-Policy": _policy(text),
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
        },
    )


@cache
def _text(name: str) -> str:
    return (files("postloop.api.pages") / f"{name}.html").read_text(encoding="utf-8")


@cache
def _policy(text: str) -> str:
    """Return the policy for a page: scripts and styles by their hash, requests to this server only."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, content in _INLINE.findall(text):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    own = {f"{kind}-src": " ".join(found) for kind, found in hashes.items() if found}
    rules = {
        "default-src": "'none'",
        **own,
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
