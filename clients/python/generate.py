"""Makes the package `ordergen_client` beside this file (or in the folder named) from the pinned document of API v2.

Nothing in it is written by hand, so nothing in it can differ from the API.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "tests/ordergen/apis/pinned/openapi_v2.json"
PACKAGE = "ordergen_client"
_ROOM = re.compile(r"^[a-z_]*?api_(v2_)?")


def short(document: dict) -> dict:
    """The document with operations named by their verb: `models_app_api_v2_list_models` is `list_models`."""
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        operation["operationId"] = _ROOM.sub("", operation["operationId"])
    return document


def generate(folder: Path) -> Path:
    """Writes the package into `folder`; raises CalledProcessError, and prints why, where a part cannot be made."""
    package = folder / PACKAGE
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(short(json.loads(DOCUMENT.read_text())), file)
        file.flush()
        subprocess.run(
            [
                sys.executable, "-m", "openapi_python_client", "generate", "--path", file.name, "--meta", "none",
                "--config", str(HERE / "config.yml"), "--output-path", str(package), "--overwrite", "--fail-on-warning",
            ],
            check=True,
        )  # fmt: skip
    (package / "py.typed").touch()
    return package


if __name__ == "__main__":
    print(generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE))
