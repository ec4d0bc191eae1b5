"""The master key of webhooks in the data directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from postloop.adapters.secret_box import SecretBoxError
from postloop.adapters.webhook_master_key import KEY_FILE, ensure_master_key, secret_box
from postloop.settings import Settings


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    ensure_master_key(tmp_path)
    first = (tmp_path / KEY_FILE).read_text()
    ensure_master_key(tmp_path)
    assert (tmp_path / KEY_FILE).read_text() == first
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    box = secret_box(Settings(data_dir=tmp_path))
    assert box.unseal(box.seal("text", "c"), "c") == "text"


def test_without_any_key_the_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretBoxError, match="POSTLOOP_WEBHOOK_MASTER_KEYS"):
        secret_box(Settings(data_dir=tmp_path))
