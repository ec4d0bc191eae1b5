"""Lines of a suppression list -> commands that block."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from postloop.adapters.suppression_files import BadLine, Listed
from postloop.contracts.address import canonical_recipient
from postloop.contracts.blocklist import ActorV1, BlocklistCommandV1
from postloop.domain.blocklist import GLOBAL


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
) -> Imported:
    """Return the commands for a list: a bounce blocks for the rest of its lease, anything else without end."""
    plan = Imported()
    for number, line in enumerate(listed, start=1):
        plan.lines += 1
        if isinstance(line, BadLine):
            plan.bad.append(line)
            continue
        problem = _problem(line, scope)
        if problem:
            plan.bad.append(BadLine(number, problem))
            continue
        until = line.expires_at
        if line.kind == "bounce" and until is None:
            until = (line.at or now) + timedelta(milliseconds=lease_ms)
        if until is not None and until <= now:
            plan.over += 1
            continue
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
    return plan


def _problem(line: Listed, scope: str) -> str:
    if not canonical_recipient(line.recipient).valid:
        return "recipient is no address"
    if line.kind == "complaint" and (line.scope or scope) in ("", GLOBAL):
        return "a complaint blocks for one sender domain: name it by --scope"
    return ""
