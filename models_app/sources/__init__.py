"""Where the book comes from: one of several sources, chosen by the setting ORDERGEN_SOURCE."""

from __future__ import annotations

from django.conf import settings

from models_app.sources.book_source import BookSource
from models_app.sources.local import LocalSource


def get_source() -> BookSource:
    """The source of this installation."""
    if settings.ORDERGEN_SOURCE == "globeco":
        from models_app.sources.globeco import GlobecoSource  # noqa: PLC0415  half a second, which only it needs

        return GlobecoSource()
    return LocalSource()
