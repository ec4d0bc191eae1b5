"""No key, no answer: 401 with a challenge, within seconds of a revocation too; a new key counts at once."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from postloop.adapters.api_key_store import ApiKeyStore
from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.domain.api_key import RANDOM_BYTES, new_key
from tests.support.api import ApiServer
from tests.support.blocklist import BlocklistStack
from tests.support.processes import wait_until

PATH = "/v1/blocklist/nobody@example.org"
DAY = timedelta(days=1)


def stored(api: ApiServer, work: Callable[[ApiKeyStore], object]) -> None:
    client = connect(api.settings)
    work(ApiKeyStore(client, api.settings))
    client.close()


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(None, id="no key"),
        pytest.param("Basic " + base64.b64encode(b"ann:secret").decode(), id="another scheme"),
        pytest.param("Bearer", id="nothing behind the scheme"),
        pytest.param("Bearer hunter2", id="no key at all"),
        pytest.param(f"Bearer {new_key(bytes(RANDOM_BYTES)).text}", id="a key that nobody made"),
        pytest.param("Bearer plk_" + "a" * 100_000, id="far too long"),
    ],
)
def test_without_a_key_that_counts_there_is_no_answer(api: ApiServer, said: str | None) -> None:
    headers = {} if said is None else {"Authorization": said}
    try:
        answer = api.nobody.get(PATH, headers=headers)
    except httpx.RemoteProtocolError:  # the server reads no header of that size
        return
    if answer.headers.get("content-type") == "application/problem+json":
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthorized"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    else:
        assert answer.status_code in (400, 431)


def test_the_right_id_with_another_secret_opens_nothing(api: ApiServer) -> None:
    made = api.make_key("acme")
    changed = made.text[:-3] + ("aaa" if made.text[-3:] != "aaa" else "bbb")
    assert api.with_key(made.text).get(PATH).status_code == 200
    assert api.with_key(changed).get(PATH).status_code == 401


def test_a_key_ends_with_its_expiry(api: ApiServer) -> None:
    assert api.with_key(api.make_key("acme", expires_at=utc_now() + DAY).text).get(PATH).status_code == 200
    assert api.with_key(api.make_key("acme", expires_at=utc_now()).text).get(PATH).status_code == 401


def test_a_revoked_key_is_refused_within_five_seconds(api: ApiServer) -> None:
    made = api.make_key("acme")
    client = api.with_key(made.text)
    assert client.get(PATH).status_code == 200
    stored(api, lambda keys: keys.revoke(made.key_id, now=utc_now()))
    wait_until(lambda: client.get(PATH).status_code == 401, timeout_s=5, what="the key is refused")


def test_the_last_use_of_a_key_is_written_down_at_the_latest_when_the_process_ends(
    stack: BlocklistStack, api: ApiServer
) -> None:
    used, unused = api.make_key("acme"), api.make_key("acme")
    with ApiServer(stack.settings) as own:
        assert own.with_key(used.text).get(PATH).status_code == 200
    client = connect(api.settings)
    uses = {found.key.key_id: found.last_used_at for found in ApiKeyStore(client, api.settings).listed()}
    client.close()
    assert uses[used.key_id] is not None
    assert uses[unused.key_id] is None


def test_keys_are_made_listed_and_revoked_on_the_command_line(stack: BlocklistStack, api: ApiServer) -> None:
    made = stack.command("key", "create", "--account", "acme", "--name", "desk", "--expires", "90d", "--json")
    key = json.loads(made.stdout)
    assert set(key) == {"key_id", "key"}
    assert api.with_key(key["key"]).get(PATH).status_code == 200
    stored(api, lambda keys: keys.note_uses({key["key_id"]: utc_now()}))

    def listed() -> dict[str, object]:
        rows = [json.loads(line) for line in stack.command("key", "list", "--json").stdout.splitlines()]
        (row,) = [row for row in rows if row["key_id"] == key["key_id"]]
        return dict(row)

    row = listed()
    assert (row["kind"], row["account_id"], row["name"], row["state"]) == (
        "account",
        "acme",
        "desk",
        "active",
    )
    assert row["last_used_at"] and row["expires_at"]
    assert key["key"] not in json.dumps(row) and "digest" not in row
    assert stack.command("key", "revoke", key["key_id"]).returncode == 0
    assert listed()["state"] == "revoked"
    assert stack.command("key", "revoke", "a" * 16).returncode == 1
    for wrong in (["create"], ["create", "--account", "a", "--operator"], ["revoke", "no-id"]):
        assert stack.command("key", *wrong).returncode == 2
