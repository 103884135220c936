from django.urls import path, register_converter
from django.urls.converters import IntConverter

from ordergen.audit import views


class SequenceConverter(IntConverter):
    """A number that a database's big integer can hold."""

    regex = "[0-9]{1,18}"


register_converter(SequenceConverter, "seq")

urlpatterns = [
    path("", views.audit, name="audit"),
    path("export.csv", views.audit_export, name="audit_export"),
    path("<seq:seq>/", views.audit_detail, name="audit_event"),
]
