"""The API's documentation as one page without scripts, made from the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from starlette.responses import HTMLResponse

from postloop.api.pages import html_response

_CODE: Final = re.compile(r"`([^`]+)`")
_STYLE: Final = """
:root { --ground: #f5f6f8; --card: #fff; --line: #d9dde4; --text: #1b2330; --soft: #545f70; --link: #0b5bb5; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #12161d; --card: #1a202a; --line: #323b49; --text: #e7ebf2; --soft: #a8b2c1; --link: #86b8ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 900px; padding: 20px 16px 48px; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 24px; }
h2 { font-size: 18px; margin-top: 32px; text-transform: capitalize; }
h3 { font-size: 15px; margin: 0; }
a { color: var(--link); } code { font: 13px/1.5 ui-monospace, monospace; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px;
  margin: 12px 0; }
dt { margin-top: 6px; }
dd { margin: 0 0 0 16px; color: var(--soft); }
p { margin: 6px 0; }
.soft { color: var(--soft); }
"""


def response(document: Mapping[str, Any]) -> HTMLResponse:
    """Return the page about an OpenAPI document."""
    return html_response("".join(_page(document)))


def _page(document: Mapping[str, Any]) -> Iterator[str]:
    title = escape(f"{document['info']['title']} API {document['info']['version']}")
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
    yield f"<p>{_text(document['info'].get('description', ''))}</p>"
    yield '<p><a href="/openapi.json">OpenAPI document</a> for generators and clients, <a href="/">status</a>.</p>'
    for tag, operations in _by_tag(document).items():
        yield f"<section><h2>{escape(tag)}</h2>"
        for method, path, operation in operations:
            yield from _operation(method, path, operation)
        yield "</section>"
    yield "</main></body></html>"


def _by_tag(document: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Mapping[str, Any]]]]:
    found: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(next(iter(operation.get("tags", ())), "other"), []).append(
                (method.upper(), path, operation)
            )
    return found


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<article><h3><code>{method} {escape(path)}</code></h3>"
    yield f"<p>{_text(operation.get('summary', ''))}</p>"
    if "description" in operation:
        yield f'<p class="soft">{_text(operation["description"])}</p>'
    if "parameters" in operation:
        yield f"<dl>{''.join(map(_parameter, operation['parameters']))}</dl>"
    body = operation.get("requestBody", {}).get("content", {})
    if body:
        yield f"<p>Body: {', '.join(f'<code>{escape(kind)}</code>' for kind in body)}</p>"
    answers = "".join(
        f"<dt><code>{escape(status)}</code></dt><dd>{_text(answer.get('description', ''))}</dd>"
        for status, answer in sorted(operation.get("responses", {}).items())
    )
    yield f'<details><summary class="soft">Answers</summary><dl>{answers}</dl></details></article>'


def _parameter(parameter: Mapping[str, Any]) -> str:
    needed = ", required" if parameter.get("required") else ""
    name = f"<dt><code>{escape(parameter['name'])}</code> <span class='soft'>{parameter['in']}{needed}</span></dt>"
    return f"{name}<dd>{_text(parameter.get('description', ''))}</dd>"


def _text(text: str) -> str:
    """Return a description with what stands in backquotes as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
