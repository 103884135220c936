"""Django's own apps, with the keys that MongoDB makes."""

from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig

from ordergen.core.mongo import AUTO_FIELD


class AuthOnMongo(AuthConfig):
    default_auto_field = AUTO_FIELD


class ContentTypesOnMongo(ContentTypesConfig):
    default_auto_field = AUTO_FIELD
