"""Uploaded files between their preview and their confirmation: in the state folder, for a day, for their owner only."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core import signing
from django.core.files.uploadedfile import UploadedFile

from ordergen.accounts.models import User
from ordergen.core.errors import NotFoundError

KEPT_SECONDS = 24 * 3600
_SALT = "ordergen.uploads"
_MAX_NAME_LENGTH = 100


@dataclass(frozen=True)
class Upload:
    """A kept file and what its owner called it."""

    path: Path
    name: str
    size: int

    def open(self) -> BinaryIO:
        """The file for reading; raises NotFoundError when it is no longer kept."""
        try:
            return self.path.open("rb")
        except FileNotFoundError as error:
            raise _gone() from error

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def keep(file: UploadedFile[Any], *, kind: str, by: User) -> str:
    """Keeps the file for its owner and returns the signed token that finds it again; drops what is older than a day."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _purge(folder)
    word = secrets.token_hex(16)
    with (folder / word).open("xb") as kept:
        for piece in file.chunks():
            kept.write(piece)
    name = (file.name or "upload")[-_MAX_NAME_LENGTH:]
    return signing.dumps({"file": word, "kind": kind, "owner": by.pk, "name": name}, salt=_SALT, compress=True)


def find(token: str, *, kind: str, by: User) -> Upload:
    """The upload `token` stands for; raises NotFoundError for another's, another kind's, an old or a forged one."""
    try:
        said = signing.loads(token, salt=_SALT, max_age=KEPT_SECONDS)
    except signing.BadSignature as error:
        raise _gone() from error
    if (said["kind"], said["owner"]) != (kind, by.pk):
        raise _gone()
    path = _folder() / said["file"]
    try:
        return Upload(path, said["name"], path.stat().st_size)
    except FileNotFoundError as error:
        raise _gone() from error


def _folder() -> Path:
    return Path(settings.STATE_DIR) / "uploads"


def _purge(folder: Path) -> None:
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > KEPT_SECONDS:
            path.unlink(missing_ok=True)


def _gone() -> NotFoundError:
    return NotFoundError("This upload is no longer here: it was imported, or it is older than a day. Upload it again.")
