"""The folder of an installation is for its owner alone: sessions, hashes of keys, orders and the secret lie in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

EVERYBODY_ELSE = 0o077
OTHERS = 0o007


def make_private(folder: Path, *, with_group: bool = False) -> str:
    """Makes the folder if need be, and closes it and what lies in it to everybody else; what is made later too.

    Returns one line that says what was open, else an empty text. `with_group` leaves to the folder's group what it has.
    Raises ImproperlyConfigured where others may enter and that cannot be changed.
    """
    closed = OTHERS if with_group else EVERYBODY_ELSE
    os.umask(closed)
    folder.mkdir(parents=True, exist_ok=True)
    was = stat.S_IMODE(folder.stat().st_mode)
    if was & closed:
        _close(folder, closed)
    opened = [path for path in _inside(folder, to_the_end=bool(was & closed)) if _try_to_close(path, closed)]
    if not was & closed:
        return ""
    return f"{folder} was open to others ({was:04o}): it is its owner's alone now, with {len(opened):,} entries in it."


def _close(folder: Path, closed: int) -> None:
    """Of a folder that is ours alone; never of one such as /tmp, which is everybody's on purpose."""
    before = folder.stat()
    if before.st_uid == os.geteuid() and not before.st_mode & stat.S_ISVTX:
        _try_to_close(folder, closed)
    after = stat.S_IMODE(folder.stat().st_mode)
    if after & closed:
        advice = "" if after & OTHERS else " ORDERGEN_HOME_GROUP=true lets its group in."
        raise ImproperlyConfigured(
            f"ORDERGEN_HOME {folder} can be entered by others ({after:04o}) and cannot be closed to them: sessions, "
            f"keys and orders would be theirs to read. Give it a folder of its own.{advice}"
        )


def _inside(folder: Path, *, to_the_end: bool) -> Iterator[Path]:
    """What lies in the folder, once `to_the_end`. Links are left alone, for they may lead anywhere."""
    for place, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if not (path := Path(place, name)).is_symlink())
        if not to_the_end:
            return


def _try_to_close(path: Path, closed: int) -> bool:
    """Takes from everybody else what they may; False where there was nothing to take, or it is not ours to take."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & closed:
            return False
        path.chmod(mode & ~closed)
    except OSError:  # gone meanwhile, or somebody else's: the folder around it is closed
        return False
    return True
