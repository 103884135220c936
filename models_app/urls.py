"""Pages of portfolios and models, import and export. What is under x/ answers pages while somebody types: no pages."""

from __future__ import annotations

from django.urls import path

from models_app.exports import views as export_views
from models_app.imports import views as import_views
from models_app.modelling import editor_views, views
from models_app.portfolios import views as portfolio_views

urlpatterns = [
    path("", portfolio_views.dashboard, name="dashboard"),
    path("models/", views.models, name="models"),
    path("models/new/", editor_views.model_new, name="model_new"),
    path("models/<str:model_id>/", views.model, name="model"),
    path("models/<str:model_id>/edit/", editor_views.model_edit, name="model_edit"),
    path("models/<str:model_id>/merge/", editor_views.model_merge, name="model_merge"),
    path("models/<str:model_id>/delete/", editor_views.model_delete, name="model_delete"),
    path("models/<str:model_id>/history/", views.model_history, name="model_history"),
    path("models/<str:model_id>/diff/", views.model_diff, name="model_diff"),
    path("portfolios/", portfolio_views.portfolios, name="portfolios"),
    path("portfolios/<str:portfolio_id>/", portfolio_views.portfolio, name="portfolio"),
    path("portfolios/<str:portfolio_id>/history/", portfolio_views.portfolio_history, name="portfolio_history"),
    path("import/", import_views.import_index, name="import"),
    path("import/layouts/", import_views.import_layouts, name="import_layouts"),
    path("import/layouts.json", import_views.export_layouts, name="export_layouts"),
    path("import/<slug:kind>/", import_views.import_kind, name="import_kind"),
    path("import/<slug:kind>/<str:token>/", import_views.import_preview, name="import_preview"),
    path("import/<slug:kind>/<str:token>/reading/", import_views.import_reading, name="import_reading"),
    path("export/<slug:kind>.csv", export_views.export_kind, name="export_kind"),
    path("x/models/check/", editor_views.model_check, name="model_check"),
    path("x/models/portfolios/", editor_views.model_portfolio_search, name="model_portfolio_search"),
    path("x/securities/", editor_views.security_suggestions, name="security_suggestions"),
]
