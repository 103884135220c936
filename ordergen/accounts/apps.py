from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class AccountsConfig(AppConfig):
    name = "ordergen.accounts"
    label = "accounts"

    def ready(self) -> None:
        from ordergen.accounts.sign_in.sessions import begin  # noqa: PLC0415  it needs the models

        user_logged_in.connect(begin, dispatch_uid="ordergen.accounts.sign_in")
