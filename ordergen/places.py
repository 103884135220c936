"""Where the files of an installation lie: those it came with, and those it keeps. Needs nothing but Python."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path

_TOP = Path(__file__).resolve().parents[1]  # of a clone; of a wheel, the folder of everybody's packages
_PACKED = _TOP / "ordergen" / "assets"  # only wheels have it: pyproject.toml puts it there
IS_INSTALLED = _PACKED.is_dir()
ASSETS = _PACKED if IS_INSTALLED else _TOP  # holds templates/ and static/
# Releases up to 0.1.0 kept their state beside the packages wherever they were installed.
_BESIDE = _TOP / "var"
_KEPT_THERE = ("ordergen.sqlite3", "secret-key")


def state_folder() -> Path:
    """Where state lies unless ORDERGEN_HOME says so: `var` in a clone, the platform's folder for data elsewhere."""
    return _BESIDE if not IS_INSTALLED or _is_left_beside() else _for_data()


def where_state_was_left() -> str:
    """That an earlier release left its state among the installed packages, and what to do; empty where it did not."""
    if not _is_left_beside():
        return ""
    return (
        f"state is in {_BESIDE}, where it goes with the environment. Stop ordergen and move that folder to "
        f"{_for_data()}, or set ORDERGEN_HOME."
    )


def _is_left_beside() -> bool:
    return IS_INSTALLED and any((_BESIDE / name).exists() for name in _KEPT_THERE)


def _for_data() -> Path:
    return user_data_path("ordergen", appauthor=False)
