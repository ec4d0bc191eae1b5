"""create_app: a Faust app for one role, with everything set that Faust's defaults get wrong for us."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import SASLMechanism

from postloop.adapters.tls import tls_context
from postloop.settings import Settings
from postloop_streams.transport import SCHEME

# A long outage of the database must not throw a waiting worker out of its group.
_MAX_POLL_INTERVAL_S: Final = 86_400.0
# Faust takes partitions without news for ones that hang and says so as errors, in a stack that is well and quiet. What
# really hangs, our own health tells.
_NEVER_S: Final = 10 * 365 * 86_400.0
_REQUEST_TIMEOUT_S: Final = 40.0
# The library's 16 KiB are some thirty records: the blocklist would wait for the broker a hundred times for one batch.
# A topic takes one of 1 MB.
_BATCH_BYTES: Final = 256 << 10


def create_app(settings: Settings, *, role: str, data_dir: Path) -> faust.App:
    """Return the app of a role: group GROUP_PREFIX-ROLE, no web server, no topics of its own making.

    Faust's web server is off because it answers on all interfaces without authentication. Agents decode raw bytes
    themselves. A rebalance does not wait for agents (`stream_wait_empty`): a waiting database would keep it from
    ending; each role finishes or abandons its work in its own handler.
    """
    scheme = SCHEME if settings.transport == "batch" else "kafka"
    session_s = settings.session_timeout.total_seconds()
    return faust.App(
        f"{settings.group_prefix}-{role}",
        broker=[f"{scheme}://{broker}" for broker in settings.broker_list],
        broker_credentials=_credentials(settings),
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        broker_request_timeout=max(_REQUEST_TIMEOUT_S, session_s + 10),
        broker_max_poll_interval=_MAX_POLL_INTERVAL_S,
        broker_max_poll_records=2_000,
        broker_commit_interval=1.0,
        broker_commit_livelock_soft_timeout=_NEVER_S,
        stream_processing_timeout=_NEVER_S,
        broker_check_crcs=True,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=1 << 20,
        producer_acks=-1,
        producer_max_batch_size=_BATCH_BYTES,
        producer_max_request_size=4 << 20,
        producer_request_timeout=_REQUEST_TIMEOUT_S,
        store="memory://",
        datadir=str(data_dir),
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )


def _credentials(settings: Settings) -> Any:
    """Return Faust's credentials; always with an explicit TLS context, without which Faust sends passwords clear."""
    if settings.kafka_security == "plaintext":
        return None
    context = tls_context(settings.kafka_ca_file) if settings.kafka_uses_tls else None
    if settings.kafka_security == "ssl":
        return SSLCredentials(context=context)
    return SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        mechanism=SASLMechanism(settings.kafka_sasl_mechanism),
        ssl_context=context,
    )
