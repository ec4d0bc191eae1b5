"""`postloop classify`: why mail was refused, for one reply or for a stream of bounces."""

from __future__ import annotations

import json
import math
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, BinaryIO, Final

import typer
from rich.markup import escape
from rich.table import Table

from postloop.cli.common import AsJson, Exit, err, out, print_json, stop
from postloop.domain.bounce import FACTS, RULES_VERSION, Bounce, Verdict, classify

_ACTIONS: Final = ("", "failed", "delayed", "deferred", "delivered", "relayed", "expanded")
"""RFC 3464 section 2.3.3, nothing, and what many programs write for delayed."""
_leading_code: Final = re.compile(r"\s*([2-5]\d\d)(?!\d)", re.ASCII).match
_TEXT_FIELDS: Final = (
    "enhanced_code",
    "diagnostic",
    "remote_host",
    "recipient_domain",
    "smtp_command",
    "action",
)


def register(app: typer.Typer) -> None:
    """Add `postloop classify`."""
    app.command("classify")(classify_command)


def classify_command(
    reply: Annotated[
        str | None, typer.Argument(metavar="REPLY", help="The server's words; codes are read out of them.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The server that answered.")] = "",
    domain: Annotated[str, typer.Option("--domain", help="The recipient's domain.")] = "",
    command: Annotated[
        str, typer.Option("--command", help="What was answered: CONNECT, EHLO, MAIL, RCPT, DATA, ...")
    ] = "",
    action: Annotated[
        str, typer.Option("--action", help="failed is final, delayed is still tried.")
    ] = "failed",
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Read JSON lines from standard input, write one line for each.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say why a server refused a message, whose side it is on, and whether the address is gone.

    With --jsonl each line is an object with id, smtp_code, enhanced_code, diagnostic, remote_host,
    recipient_domain, smtp_command and action, any of which may be null or missing; the answers come in the same
    order, each as soon as its line is read. A line that is no object is reported with its number and has no
    answer; the exit code is then 1.

    Example: [bold]postloop classify "550 5.1.1 <ann@example.com>: user unknown" --command RCPT[/]

    Example: [bold]postloop classify --jsonl < bounces.jsonl > verdicts.jsonl[/]
    """
    if jsonl == (reply is not None):
        raise stop("give either a REPLY or --jsonl", Exit.USAGE)
    if jsonl:
        if classify_lines(sys.stdin.buffer):
            raise typer.Exit(int(Exit.NO))
        return
    if action.strip().lower() not in _ACTIONS:
        raise stop(f"--action: {action!r} is none of {', '.join(_ACTIONS[1:])}", Exit.USAGE)
    verdict = classify(
        Bounce(
            diagnostic=reply, remote_host=host, recipient_domain=domain, smtp_command=command, action=action
        )
    )
    if as_json:
        print_json({**asdict(verdict), "rules_version": RULES_VERSION})
    else:
        _show(verdict)


def classify_lines(stream: BinaryIO) -> int:
    """Answer every line of a stream; return how many were no JSON object."""
    problem_count = 0
    for number, line in enumerate(stream, start=1):
        value = (line.removeprefix(BOM_UTF8) if number == 1 else line).strip()
        if not value:
            continue
        fields = _parsed(value)
        if isinstance(fields, str):
            problem_count += 1
            err.print(f"line {number}: {fields}", markup=False)
        else:
            answer = {"id": fields.get("id"), **asdict(classify(bounce_of(fields)))}
            # In ASCII: an id may hold half a surrogate pair, which no stream can write.
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    return problem_count


def bounce_of(fields: Mapping[str, Any]) -> Bounce:
    """Return the bounce of one line; a field of another type than it should have counts as missing."""
    texts = {name: fields[name] for name in _TEXT_FIELDS if isinstance(fields.get(name), str)}
    return Bounce(smtp_code=_reply_code(fields.get("smtp_code")), **texts)


def _reply_code(value: Any) -> int:
    """Return a reply code that is written as a number or as text, 0 for anything else."""
    if isinstance(value, str):
        # "450-" and "550 5.1.1" begin with one; a code that got lost could have been the temporary one.
        found = _leading_code(value)
        return int(found[1]) if found else 0
    if isinstance(value, float) and value.is_integer():  # 450.0: a column with nulls in it
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _parsed(line: bytes) -> Mapping[str, Any] | str:
    """Return the object of a line, or what is wrong with it."""
    try:
        value = json.loads(line, parse_constant=_no_json, parse_float=_finite)
    except UnicodeDecodeError:
        return "not UTF-8"
    except (json.JSONDecodeError, RecursionError) as error:
        return f"not JSON: {error}"
    except ValueError:  # Python's limit for digits, or one of those below
        return "not JSON: a number that is none, or is too large"
    return value if isinstance(value, dict) else f"a JSON object is needed, not {type(value).__name__}"


def _no_json(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _show(verdict: Verdict) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    rows: Iterable[tuple[str, str]] = (
        ("reason", verdict.reason),
        ("", FACTS[verdict.reason].meaning),
        ("hard", "yes: the address is given up at once" if verdict.hard else "no"),
        ("fault", verdict.fault),
        ("confidence", f"{verdict.confidence:.2f}"),
        ("rule", f"{verdict.rule} (rules {RULES_VERSION})"),
    )
    for name, value in rows:
        table.add_row(f"[bold]{name}[/]", escape(value))
    out.print(table)
