"""Where the list holds hashes, an address and its hash find the same entry, and no answer shows the address."""

from collections.abc import Iterator

import pytest

from postloop.adapters import kafka_security
from postloop.adapters.blocklist_policy import RecipientKey, recipient_hash
from postloop.adapters.blocklist_rows import EntryRow
from postloop.adapters.blocklist_store import BlocklistWriter
from postloop.settings import Settings
from tests.support.api import ApiServer
from tests.support.database import Database, migrated_database
from tests.support.ports import free_port

ADDRESS = "Anna@Example.org"


@pytest.fixture
def database() -> Database:
    return migrated_database()


@pytest.fixture
def api(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    monkeypatch.setattr(kafka_security, "BOOTSTRAP_TIMEOUT_MS", 200)
    settings = Settings(
        clickhouse_url=database.settings.clickhouse_url,
        clickhouse_database=database.name,
        kafka_brokers=f"127.0.0.1:{free_port()}",  # looking up needs no broker
        blocklist_recipient_form="hmac-sha256",
        blocklist_hash_key="a key of sixteen characters",  # type: ignore[arg-type]
    )
    with ApiServer(settings) as server:
        yield server


def test_an_address_and_its_hash_find_the_same_entry(api: ApiServer, database: Database) -> None:
    hashed = RecipientKey(api.settings).listed(ADDRESS)
    row = EntryRow(
        recipient_hash=recipient_hash(hashed),
        scope="global",
        recipient=hashed,
        version=1,
        value="{}",
        is_active=True,
        reason="user_unknown",
        cause_account_ids=("acme",),
        recipient_form="hmac-sha256",
    )
    BlocklistWriter(database.client).write_entries([row])
    by_address = api.as_account("acme").get(f"/v1/blocklist/{ADDRESS}")
    by_hash = api.as_account("acme").get(f"/v1/blocklist/{hashed}")
    assert by_address.json() == by_hash.json()
    assert by_address.json()["blocked"]
    assert "example.org" not in by_address.text.lower()
