"""Every address: pages, API, health."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from ordergen.accounts import views as accounts
from ordergen.core import metrics

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("ordergen.api")),  # /api/ and /health
    path("metrics", metrics.show, name="metrics"),
    path("signin/", accounts.SignIn.as_view(), name="signin"),
    path("signout/", accounts.SignOut.as_view(), name="signout"),
    path("account/keys/", accounts.keys, name="keys"),
    path("account/keys/<str:key_id>/revoke/", accounts.key_revoke, name="key_revoke"),
    path("audit/", include("ordergen.audit.urls")),
    path("webhooks/", include("ordergen.webhooks.urls")),
    path("help/", include("ordergen.web.help")),
    path("", include("models_app.urls")),
    path("", include("rebalance_app.urls")),
]

handler404 = "ordergen.web.views.not_found"
handler500 = "ordergen.web.views.server_error"
