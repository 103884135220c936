"""Names of people: one form in which they are compared, and which names a new person may have.

Maya, MAYA and Ｍａｙａ are one name. Мауа, of which no letter is Latin, is another one to a computer and the same one
to whoever reads a list of approvers: such a name is refused when a person is created.
"""

from __future__ import annotations

import unicodedata

MAX_LENGTH = 150
RESERVED = frozenset({"api", "system"})  # who acts for callers without credentials, and for nobody, in the audit trail
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO"})
# Letters of other scripts, folded, that most typefaces draw like a Latin one.
_LOOKS_LIKE = str.maketrans(
    "аеорсухіјѕԁԛԝһӏвкмнтԍ" + "αβγεικνορτυχ" + "օսհո",
    "aeopcyxijsdqwhlbkmhtg" + "abyeiknoptux" + "ouhn",
)


def canonical(name: str) -> str:
    """The form in which two names are compared: compatibility characters replaced (NFKC), without case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def look(name: str) -> str:
    """What a reader takes a name for: alike for names that look alike."""
    return canonical(name).translate(_LOOKS_LIKE).replace("1", "l").replace("0", "o")


def fault(name: str) -> str:
    """Why nobody new may have this name; empty when somebody may. Django's own rule for the characters comes first."""
    plain = canonical(name)
    if len(plain) > MAX_LENGTH:
        return f"A name has at most {MAX_LENGTH} characters."
    if plain in RESERVED:
        return f"The name {plain} is used by ordergen itself."
    if any(char.isnumeric() and not ("0" <= char <= "9") for char in plain):
        return "Digits in a name are 0 to 9."
    scripts = {_script(char) for char in plain if char.isalpha()}
    if len(scripts) > 1:
        return "The letters of a name are of one script, so that no name passes for another one."
    if "FILLER" in scripts:
        return "A name has no letters that cannot be seen."
    return ""


def _script(letter: str) -> str:
    """The script of a letter, by the first word of its Unicode name; those that East Asian names mix are one."""
    words = unicodedata.name(letter, "UNNAMED")
    if "FILLER" in words:
        return "FILLER"
    first = words.split()[0]
    return "EAST ASIAN" if first in _EAST_ASIAN else first
