"""What an id may look like. Pure; the doors say what they answer to one that does not."""

from __future__ import annotations

import re
from typing import Final

HEX_ID: Final = re.compile(r"[0-9a-fA-F]{24}")  # models, portfolios, rebalances; kept in lower case
ANY_ID: Final = re.compile(r"[A-Za-z0-9]{24}")  # securities
