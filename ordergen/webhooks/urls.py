from django.urls import path

from ordergen.webhooks import views

urlpatterns = [
    path("", views.webhooks, name="webhooks"),
    path("<slug:webhook_id>/", views.webhook, name="webhook"),
    path("<slug:webhook_id>/replay/", views.webhook_replay, name="webhook_replay"),
    path("<slug:webhook_id>/<slug:verb>/", views.webhook_turn, name="webhook_turn"),
]
