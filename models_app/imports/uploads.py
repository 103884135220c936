"""Uploaded files between their preview and their confirmation: in the state folder, for a day, for their owner only.

One that is refused goes at once, and so many bytes may wait of one person and of all: nobody fills the disk.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core import signing
from django.core.files.uploadedfile import UploadedFile

from ordergen.accounts.models import User
from ordergen.core.errors import InvalidInputError, NotFoundError

KEPT_SECONDS = 24 * 3600
_SALT = "ordergen.uploads"
_MAX_NAME_LENGTH = 100
_MAX_TOKEN_LENGTH = 3_500  # of an address that every server takes


@dataclass(frozen=True)
class Upload:
    """A kept file, what its owner called it, and what its owner said about how it is read."""

    path: Path
    name: str
    size: int
    answers: Mapping[str, str] = field(default_factory=dict)

    def open(self) -> BinaryIO:
        """The file for reading; raises NotFoundError when it is no longer kept."""
        try:
            return self.path.open("rb")
        except FileNotFoundError as error:
            raise _gone() from error

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def keep(file: UploadedFile[Any], *, kind: str, by: User, answers: Mapping[str, str]) -> str:
    """Keeps the file for its owner and returns the signed token that finds it again; drops what is older than a day.

    Raises InvalidInputError where too much is kept already.
    """
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    word = f"{by.pk}-{secrets.token_hex(16)}"
    path = folder / word
    try:
        with path.open("xb") as kept:
            for piece in file.chunks():
                kept.write(piece)
        _check_quotas(folder, by)  # with it among them: of several at once, each sees the others
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    name = (file.name or "upload")[-_MAX_NAME_LENGTH:]
    return _token({"file": word, "kind": kind, "owner": by.pk, "name": name, "answers": dict(answers)})


def answered(upload: Upload, answers: Mapping[str, str], *, kind: str, by: User) -> str:
    """The token of the same upload with these answers instead of those it had; InvalidInputError for too many."""
    said = {"file": upload.path.name, "kind": kind, "owner": by.pk, "name": upload.name, "answers": dict(answers)}
    token = _token(said)
    if len(token) > _MAX_TOKEN_LENGTH:
        raise InvalidInputError(
            "There is too much to say about this file. Name its columns as the page of this kind does."
        )
    return token


def _token(said: dict[str, Any]) -> str:
    return signing.dumps(said, salt=_SALT, compress=True)


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
        return Upload(path, said["name"], path.stat().st_size, said.get("answers", {}))
    except FileNotFoundError as error:
        raise _gone() from error


def _folder() -> Path:
    return Path(settings.STATE_DIR) / "uploads"


def _check_quotas(folder: Path, by: User) -> None:
    """Raises InvalidInputError where the files of this person, or of all, are more than may wait."""
    sizes = _sizes(folder)
    own = sum(size for name, size in sizes.items() if name.startswith(f"{by.pk}-"))
    if own > settings.UPLOADS_MAX_BYTES_PER_PERSON:
        raise _too_much("of yours", settings.UPLOADS_MAX_BYTES_PER_PERSON)
    if sum(sizes.values()) > settings.UPLOADS_MAX_BYTES:
        raise _too_much("of everybody", settings.UPLOADS_MAX_BYTES)


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file by its name; those older than a day are dropped on the way."""
    sizes = {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # confirmed or dropped by another process meanwhile
            found = path.stat()
            if time.time() - found.st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
            else:
                sizes[path.name] = found.st_size
    return sizes


def _too_much(whose: str, most: int) -> InvalidInputError:
    message = (
        f"Files {whose} that wait to be confirmed may have {most / 2**20:.0f} MB in all. Confirm them, or wait a day."
    )
    return InvalidInputError(message, fields={"file": message})


def _gone() -> NotFoundError:
    return NotFoundError(
        "This upload is no longer here: it was imported, or refused, or is older than a day. Choose the file again."
    )


def read_bytes(file: BinaryIO) -> bytes:
    """The whole file; refused after reading one byte more than settings.IMPORT_MAX_BYTES."""
    content = file.read(settings.IMPORT_MAX_BYTES + 1)
    if len(content) > settings.IMPORT_MAX_BYTES:
        raise InvalidInputError(too_large_message(), fields={"file": too_large_message()})
    return content


def too_large_message() -> str:
    return (
        f"The file is larger than {settings.IMPORT_MAX_BYTES / 2**20:.0f} MB, the most one import takes. Split it up."
    )
