"""The Celery application. Messages carry ids only; the rows they name say what is to be done."""

from __future__ import annotations

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ordergen.settings")

app = Celery("ordergen")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

if settings.CELERY_BROKER_URL.startswith("filesystem"):  # the transport does not make its folders itself
    for name in ("messages", "control"):
        (settings.BROKER_FOLDER / name).mkdir(parents=True, exist_ok=True)
