from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "ordergen.ops"

    def ready(self) -> None:
        from ordergen import celery  # noqa: F401, PLC0415  shared tasks bind to the application that is loaded
