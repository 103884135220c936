"""Every address: pages, API, health."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, URLResolver, include, path

from ordergen.accounts import views as accounts
from ordergen.accounts.sign_in import views as sign_in
from ordergen.core import metrics

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("ordergen.api")),  # /api/ and /health
    path("metrics", login_not_required(metrics.show), name="metrics"),
    path("signin/", sign_in.SignInPage.as_view(), name="signin"),
    path("signin/still/", sign_in.still, name="still"),
    path("signout/", sign_in.SignOut.as_view(), name="signout"),
    path("account/keys/", accounts.keys, name="keys"),
    path("account/keys/<str:key_id>/revoke/", accounts.key_revoke, name="key_revoke"),
    path("account/password/", accounts.password, name="password"),
    path("account/authenticator/", accounts.authenticator, name="authenticator"),
    path("account/authenticator/remove/", accounts.authenticator_end, name="authenticator_end"),
    path("account/sign-ins/", accounts.sign_ins, name="sign_ins"),
    path("account/sign-ins/end/", accounts.sign_ins_end, name="sign_ins_end"),
    path("settings/people/", include("ordergen.accounts.people_views")),
    path("audit/", include("ordergen.audit.urls")),
    path("webhooks/", include("ordergen.webhooks.urls")),
    path("help/", include("ordergen.web.help")),
    path("", include("models_app.urls")),
    path("", include("rebalance_app.urls")),
]

handler404 = "ordergen.web.views.not_found"
handler500 = "ordergen.web.views.server_error"
