"""Where the master key of the webhooks' secrets comes from: the settings, else a file of the data directory."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import Final

from postloop.adapters.secret_box import KEY_BYTES, SecretBox
from postloop.settings import Settings

KEY_FILE: Final = "webhook-master.key"


def secret_box(settings: Settings) -> SecretBox:
    """Return what seals and opens the secrets of endpoints.

    Raises:
        SecretBoxError: There is no key, or it is none.
    """
    keys = settings.webhook_master_keys.get_secret_value()
    path = settings.data_dir / KEY_FILE
    if not keys and path.is_file():
        keys = path.read_text(encoding="ascii")
    return SecretBox.from_text(keys)


def ensure_master_key(directory: Path) -> None:
    """Write a new key into a directory once, readable by its owner only; who loses it loses all secrets."""
    directory.mkdir(parents=True, exist_ok=True)
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n"
    try:
        made = os.open(directory / KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(made, "w", encoding="ascii") as file:
        file.write(text)
