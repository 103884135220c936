from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "ordergen.core"
    label = "ordergen"  # what its table and its migrations have been called from the beginning
