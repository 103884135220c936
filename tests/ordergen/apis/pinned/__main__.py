"""`make pin`: what the APIs are from today on is what clients are to be generated from."""

import os

import django

from tests.ordergen.apis.pinned import pin

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ordergen.settings")
django.setup()
pin()
