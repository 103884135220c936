"""The Celery application. Messages carry ids only; the rows they name say what is to be done."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ordergen.settings")


@setup_logging.connect  # type: ignore[untyped-decorator]  # Celery has no types
def keep_our_logging(**_options: Any) -> None:
    """Celery leaves logging alone where somebody answers this signal: workers log as the settings say."""


app = Celery("ordergen")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
