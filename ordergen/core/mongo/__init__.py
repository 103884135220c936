"""MongoDB, by its own Django backend: what a project on it is set up with. Needs no driver; `base` does.

On a replica set (of one server, if need be) transactions are as on the other databases, only that none is longer than
the minute that the server gives it. A server by itself has none: there each document is written whole or not at all,
and what is more than one document may stay half done when a process dies.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

SCHEMES: Final = ("mongodb", "mongodb+srv")
AUTO_FIELD: Final = "django_mongodb_backend.fields.ObjectIdAutoField"
# Django's apps with integer keys, which MongoDB does not count up: the same with its own keys, by migrations of theirs.
APPS: Final = {
    "django.contrib.auth": "ordergen.core.mongo.apps.AuthOnMongo",
    "django.contrib.contenttypes": "ordergen.core.mongo.apps.ContentTypesOnMongo",
}
MIGRATIONS: Final = {
    "auth": "ordergen.core.mongo.migrations.auth",
    "contenttypes": "ordergen.core.mongo.migrations.contenttypes",
}


def is_mongo(url: str) -> bool:
    """Whether DATABASE_URL names a MongoDB."""
    return urlsplit(url).scheme in SCHEMES


def database(url: str, *, seconds: int) -> dict[str, Any]:
    """Django's settings of the database at `url`, which names it (`mongodb://host/NAME`).

    Raises ImproperlyConfigured where it does not, or where the backend is not installed. An address where nobody
    answers is given up after `seconds`.
    """
    if find_spec("django_mongodb_backend") is None:
        raise ImproperlyConfigured("DATABASE_URL names a MongoDB: run `pip install 'ordergen[mongodb]'` first.")
    name = urlsplit(url).path.strip("/")
    if not name:
        raise ImproperlyConfigured("DATABASE_URL has to name the database too: mongodb://host:27017/ordergen.")
    limit = seconds * 1000
    return {
        "ENGINE": "ordergen.core.mongo",
        "HOST": url,
        "NAME": name,
        "OPTIONS": {"appname": "ordergen", "serverSelectionTimeoutMS": limit, "connectTimeoutMS": limit},
    }
