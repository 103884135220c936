"""The one form in which names and tickers are compared: what looks the same to a reader is the same."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Beside format characters (zero width, direction): joiner, fillers and variation selectors, which nobody sees either.
_INVISIBLE = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


@lru_cache(maxsize=65_536)
def canonical(text: str) -> str:
    """`text` without what readers do not tell apart: width, case, invisible characters, kind of space or punctuation.

    BRK.B, brk/b and BRK B are one, BRKB is another; a sign that means something (+, =, $) stays. What is nothing but
    punctuation stays as it is, so that two such words are not the same.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = "".join(_seen(letter) for letter in folded).split()
    return " ".join(words) or folded.strip()


def _seen(letter: str) -> str:
    category = unicodedata.category(letter)
    if category == "Cf" or ord(letter) in _INVISIBLE:
        return ""
    return " " if category[0] in "PZC" else letter
