from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished

from ordergen.accounts.roles import Role


class AccountsConfig(AppConfig):
    name = "ordergen.accounts"
    label = "accounts"

    def ready(self) -> None:
        from ordergen.accounts.keys import note_use  # noqa: PLC0415  these need the models
        from ordergen.accounts.sign_in.sessions import begin  # noqa: PLC0415

        request_finished.connect(note_use)
        user_logged_in.connect(begin, dispatch_uid="ordergen.accounts.sign_in")
        if unknown := set(settings.AUTHENTICATOR_ROLES) - set(Role.values):
            choices = ", ".join(Role.values)
            raise ImproperlyConfigured(f"ORDERGEN_AUTHENTICATOR_ROLES names {min(unknown)!r}; roles are {choices}.")
