from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "ordergen.accounts"
    label = "accounts"
