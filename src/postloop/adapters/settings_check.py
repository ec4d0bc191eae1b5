"""Settings that only their users can read: whether they could."""

from __future__ import annotations

from postloop.adapters.blocklist_policy import blocklist_policy
from postloop.adapters.reputation_policy import reputation_policy
from postloop.adapters.secret_box import SecretBox
from postloop.settings import Settings


def check_settings(settings: Settings) -> None:
    """Refuse a policy, a reason or a key that a worker would refuse when it starts.

    Raises:
        PostloopError: With one sentence about the first that is wrong.
    """
    reputation_policy(settings)
    blocklist_policy(settings)
    if keys := settings.webhook_master_keys.get_secret_value():
        SecretBox.from_text(keys)
