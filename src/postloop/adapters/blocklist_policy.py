"""The blocklist's policy and the form of its addresses, as the settings say."""

from __future__ import annotations

import hashlib
from types import MappingProxyType

from postloop.contracts.address import canonical_recipient, hashed_recipient
from postloop.contracts.blocklist import RecipientForm
from postloop.domain.blocklist import Policy
from postloop.domain.bounce import REASONS
from postloop.domain.errors import DataError
from postloop.domain.incident import GuardPolicy
from postloop.domain.recipient import without_addresses
from postloop.settings import Settings, SettingsError


def blocklist_policy(settings: Settings) -> Policy:
    """Return the policy in force.

    Raises:
        SettingsError: A duration is given for something that is no reason.
    """
    leases = settings.blocklist_leases
    unknown = sorted(set(leases) - set(REASONS))
    if unknown:
        raise SettingsError(f"POSTLOOP_BLOCKLIST_LEASE_BY_REASON: {unknown[0]} is no bounce reason")
    return Policy(
        lease_ms=_ms(settings.blocklist_lease.total_seconds()),
        lease_ms_of=MappingProxyType({name: _ms(lease.total_seconds()) for name, lease in leases.items()}),
        escalation=settings.blocklist_escalation_factors,
        release_on_delivery=settings.blocklist_release_on_delivery,
        operator_contact=settings.operator_contact,
    )


def guard_policy(settings: Settings) -> GuardPolicy | None:
    """Return the policy of the incident guard, None when it is off."""
    if not settings.blocklist_guard:
        return None
    return GuardPolicy(max_hold_ms=_ms(settings.blocklist_guard_max_hold.total_seconds()))


class RecipientKey:
    """Turns canonical addresses into the form in which the blocklist keeps and publishes them."""

    def __init__(self, settings: Settings) -> None:
        self.form: RecipientForm = settings.blocklist_recipient_form
        self._key = settings.blocklist_hash_key.get_secret_value().encode()

    def of(self, canonical: str) -> str:
        """Return the canonical address, or its HMAC-SHA256 in hexadecimal."""
        return canonical if self.form == "clear" else hashed_recipient(canonical, self._key)

    def listed(self, said: str) -> str:
        """Return what somebody typed as the list holds it: an address, or in the hashed form also its hash.

        Raises:
            DataError: It is not an address.
        """
        if self.form != "clear" and "@" not in said:
            return said
        recipient = canonical_recipient(said)
        if not recipient.valid or not is_text(said):
            raise DataError("not_an_address", "recipient", "not an address")
        return self.of(recipient.canonical)

    def text(self, said: str) -> str:
        """Return what a server said, without addresses where addresses must not be kept."""
        return said if self.form == "clear" else without_addresses(said)


def is_text(said: str) -> bool:
    """Return whether a text can be written: arguments of a command may hold halves of characters."""
    try:
        said.encode()
    except UnicodeEncodeError:
        return False
    return True


def recipient_hash(recipient: str) -> int:
    """Return the 64 bits that decide which partition owns an address; stable for ever."""
    digest = hashlib.blake2b(recipient.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
