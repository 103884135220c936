"""Addresses of the import and export pages."""

from __future__ import annotations

from django.urls import path

from models_app.imports import views

urlpatterns = [
    path("import/", views.import_index, name="import"),
    path("import/<slug:kind>/", views.import_kind, name="import_kind"),
    path("import/<slug:kind>/<str:token>/", views.import_preview, name="import_preview"),
    path("export/<slug:kind>.csv", views.export_kind, name="export_kind"),
]
