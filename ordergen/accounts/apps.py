from django.apps import AppConfig
from django.core.signals import request_finished


class AccountsConfig(AppConfig):
    name = "ordergen.accounts"
    label = "accounts"

    def ready(self) -> None:
        from ordergen.accounts.keys import note_use  # noqa: PLC0415  its models are there only now

        request_finished.connect(note_use)
