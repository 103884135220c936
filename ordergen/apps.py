from django.apps import AppConfig


class OrdergenConfig(AppConfig):
    name = "ordergen"

    def ready(self) -> None:
        from ordergen import celery  # noqa: F401, PLC0415  shared tasks bind to the application that is loaded
