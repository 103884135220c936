"""Pages as tests compare them: what they say, wherever a template happens to break its lines."""

import re


def flat(markup: str) -> str:
    """The markup without white space beside tags, any other run of it as one space, and none that may not break."""
    text = re.sub(r"\s+", " ", markup.replace("\N{NO-BREAK SPACE}", " "))
    return re.sub(r" ?(<[^>]*>) ?", r"\1", text)
