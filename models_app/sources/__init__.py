"""Where the book comes from: one of several sources, chosen by the setting ORDERGEN_SOURCE."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from models_app.sources.base import BookSource
from models_app.sources.local import LocalSource


def get_source() -> BookSource:
    """The source of this installation; raises ImproperlyConfigured for one that does not exist."""
    if settings.ORDERGEN_SOURCE != "local":
        raise ImproperlyConfigured(
            f"ORDERGEN_SOURCE is {settings.ORDERGEN_SOURCE!r}, but only 'local' (this application's own tables) "
            "can be read in this version; 'globeco' is planned."
        )
    return LocalSource()
