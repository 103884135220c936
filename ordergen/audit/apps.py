from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "ordergen.audit"
    label = "audit"
