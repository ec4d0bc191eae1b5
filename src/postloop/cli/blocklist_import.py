"""Lines of a suppression list -> commands that block."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from postloop.adapters.blocklist_policy import RecipientKey
from postloop.adapters.suppression_files import BadLine, Listed
from postloop.contracts.blocklist import ActorV1, BlocklistCommandV1
from postloop.contracts.field_errors import field_errors
from postloop.domain.blocklist import GLOBAL
from postloop.domain.errors import DataError


@dataclass
class Imported:
    """What a list comes to.

    Attributes:
        over: Lines about bounces so old that nothing would be blocked.
    """

    lines: int = 0
    commands: list[BlocklistCommandV1] = field(default_factory=list)
    over: int = 0
    bad: list[BadLine] = field(default_factory=list)


def import_list(
    listed: Iterable[Listed | BadLine],
    *,
    actor: ActorV1,
    reason: str,
    scope: str,
    lease_ms: int,
    now: datetime,
    key: RecipientKey,
) -> Imported:
    """Return the commands for a list: a bounce blocks for the rest of its lease, anything else without end."""
    plan = Imported()
    for number, line in enumerate(listed, start=1):
        plan.lines += 1
        if isinstance(line, BadLine):
            plan.bad.append(line)
            continue
        problem = _problem(line, scope, key)
        if problem:
            plan.bad.append(BadLine(number, problem))
            continue
        until = line.expires_at
        if line.kind == "bounce" and until is None:
            until = _end_of_lease(line.at or now, lease_ms)
        if until is not None and until <= now:
            plan.over += 1
            continue
        try:
            plan.commands.append(
                BlocklistCommandV1(
                    command_id=str(uuid.uuid4()),
                    command="block",
                    recipient=line.recipient,
                    scope=line.scope or scope or GLOBAL,
                    actor=actor,
                    reason=reason,
                    requested_at=now,
                    expires_at=until,
                )
            )
        except ValidationError as error:
            plan.bad.append(BadLine(number, field_errors(error)[0].text))
    return plan


def _end_of_lease(at: datetime, lease_ms: int) -> datetime:
    try:
        return at + timedelta(milliseconds=lease_ms)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _problem(line: Listed, scope: str, key: RecipientKey) -> str:
    try:
        key.listed(line.recipient)
    except DataError:
        return "recipient is no address"
    if line.kind == "complaint" and (line.scope or scope) in ("", GLOBAL):
        return "a complaint blocks for one sender domain: name it by --scope"
    return ""
