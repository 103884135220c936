from django.apps import AppConfig


class OrdergenConfig(AppConfig):
    name = "ordergen"
