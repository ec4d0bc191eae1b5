"""The roles for people and dashboards: one that reads every view, one that reads what an account may see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.errors import RefusedError
from postloop.adapters.migration_render import Layout

READER_ROLE: Final = "postloop_reader"
ACCOUNT_ROLE: Final = "postloop_account_reader"
# Views with one account a row and nothing in it of another one. v_blocklist_active and v_blocklist_history name the
# accounts that caused an entry, v_ip_pool tells about the rest of a pool.
ACCOUNT_VIEWS: Final = frozenset(
    [
        "v_blocklist_account",
        "v_blocklist_hits",
        "v_bounce_reasons",
        "v_campaign",
        "v_delivery_latency",
        "v_domain_reputation",
        "v_domain_counts",
        "v_domain_hours",
        "v_open_rate",
        "v_pending_messages",
        "v_pool_reputation",
        "v_pool_reputation_changes",
        "v_reputation_changes",
        "v_webhook_attempts",
        "v_webhook_dead",
        "v_webhook_health",
    ]
)
_SECONDS: Final = 30
_BYTES: Final = 2 * 1024**3
# 497: no right to make roles; 514: nowhere to store them (the embedded engine); 48, 344: not built in.
_NO_ROLES: Final = frozenset({"48", "344", "497", "514"})


def ensure_readers(client: Client, layout: Layout, *, database: str, views: Sequence[str]) -> list[str]:
    """Make the roles; return a notice where the engine cannot."""
    try:
        for statement in role_statements(layout, database=database, views=views):
            with translated(f"ClickHouse refused `{statement}`"):
                client.command(statement)
    except RefusedError as error:
        if error.code not in _NO_ROLES:
            raise
        return [
            f"the roles {READER_ROLE} and {ACCOUNT_ROLE} were not made (ClickHouse error {error.code}): "
            "here no roles are kept, or the user may not make them"
        ]
    return []


def role_statements(layout: Layout, *, database: str, views: Sequence[str]) -> Iterator[str]:
    """Yield the statements that make both roles; each may run twice."""
    yield from _role(READER_ROLE, layout, database=database, views=views)
    for_accounts = [view for view in views if view.removesuffix("_at") in ACCOUNT_VIEWS]
    yield from _role(ACCOUNT_ROLE, layout, database=database, views=for_accounts)


def _role(role: str, layout: Layout, *, database: str, views: Iterable[str]) -> Iterator[str]:
    on_cluster = layout.on_cluster
    yield f"CREATE ROLE IF NOT EXISTS {role}{on_cluster}"
    yield (
        f"ALTER ROLE {role}{on_cluster} SETTINGS readonly = 2, "
        f"max_execution_time = {_SECONDS} MIN 1 MAX {_SECONDS}, "
        f"max_memory_usage = {_BYTES} MIN 1 MAX {_BYTES}"
    )
    for view in views:
        yield f"GRANT{on_cluster} SELECT ON `{database}`.{view} TO {role}"
