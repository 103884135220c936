from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "ordergen.webhooks"
    label = "webhooks"
