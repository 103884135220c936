"""Pages as tests compare them: what they say, wherever a template happens to break its lines."""

import re
from html import unescape


def flat(markup: str) -> str:
    """The markup without white space beside tags, any other run of it as one space, and none that may not break."""
    text = re.sub(r"\s+", " ", markup.replace("\N{NO-BREAK SPACE}", " "))
    return re.sub(r" ?(<[^>]*>) ?", r"\1", text)


def words(response) -> str:
    """What a reader sees: no tags, one kind of space."""
    text = re.sub(r"<(script|style|head).*?</\1>|<[^>]+>", " ", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(text).replace("\N{NO-BREAK SPACE}", " "))


def hidden(response, name: str) -> str:
    """What a page's hidden field of this name holds."""
    return re.search(rf'name="{name}" value="([^"]*)"', response.content.decode()).group(1)
