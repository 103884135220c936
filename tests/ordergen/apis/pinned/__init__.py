"""The OpenAPI documents that clients were generated from; `make pin` writes today's over them, which is a decision."""

import difflib
import json
from pathlib import Path

PREFIXES = {"v1": "/api/v1", "v2": "/api/v2"}


def pinned_text(version: str) -> str:
    return _file(version).read_text()


def text_today(version: str) -> str:
    """The document as it is served, its names sorted and a line for each, so that a difference can be read."""
    from ordergen.api import APIS

    prefix = PREFIXES[version]
    document = APIS[prefix].get_openapi_schema(path_prefix=f"{prefix}/")
    served = json.loads(json.dumps(document))  # a status is a number in Python and a name in JSON, which sort otherwise
    return json.dumps(served, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def differences(version: str) -> str:
    """A unified diff from the pinned document to today's; empty where they are equal."""
    pinned, today = pinned_text(version).splitlines(), text_today(version).splitlines()
    return "\n".join(difflib.unified_diff(pinned, today, _file(version).name, "today", lineterm=""))


def pin() -> None:
    for version in PREFIXES:
        _file(version).write_text(text_today(version))


def _file(version: str) -> Path:
    return Path(__file__).with_name(f"openapi_{version}.json")
