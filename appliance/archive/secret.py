"""The box's secret key: made once, kept on `state`, never leaves the box.

Pseudonyms and mapped UIDs are made with it, so the same patient and study map to the same values
after every restart (design, sections 6 and 8).
"""

import hashlib
import os
import secrets
from pathlib import Path

from appliance.archive.files import PendingFile, sync_directories
from appliance.settings.problems import Obstacle

KEY_SIZE = 32
"""Bytes of the key."""


class KeyProblem(Obstacle):
    """The key file cannot be used; the text says what to do."""


def load_or_create_key(path: Path) -> bytes:
    """Return the key in `path`, making it durably when there is none. Raises KeyProblem.

    A damaged key is never replaced: every UID would map anew, and what is held be fetched again.
    """
    try:
        return _load(path)
    except FileNotFoundError:
        _create(path)
    except OSError as error:
        raise KeyProblem(f"{path}: the key cannot be read: {error.strerror}") from None
    return _load(path)


def fingerprint(key: bytes) -> str:
    """Return what tells two keys apart and gives nothing of them away."""
    return hashlib.blake2b(key, digest_size=8, person=b"netty-key").hexdigest()


def _load(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != KEY_SIZE:
        raise KeyProblem(
            f"{path}: expected a key of {KEY_SIZE} bytes, found {len(key)}; "
            "put the box's own key back, or remove file and archive together to start anew"
        )
    return key


def _create(path: Path) -> None:
    previous = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with PendingFile.create(path) as pending:
            pending.write([secrets.token_bytes(KEY_SIZE)])
            sync_directories(pending.settle())
    except OSError as error:
        raise KeyProblem(f"{path}: a key cannot be made there: {error.strerror}") from None
    finally:
        os.umask(previous)
