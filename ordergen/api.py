"""The two APIs and everything under /api/: v1 is the drop-in contract, v2 what the pages can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, re_path, resolve
from django.urls.exceptions import Resolver404
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from ninja import NinjaAPI
from ninja.errors import ValidationError, ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema
from ninja.params.models import BodyModel
from ninja.throttling import BaseThrottle

from models_app.api_v2 import router as book_v2
from models_app.modelling.api import router as models_v1
from ordergen.accounts.api import router as account_v2
from ordergen.accounts.api_people import router as people_v2
from ordergen.accounts.keys import find_api_key
from ordergen.apis.auth import Undeclared, key_sent
from ordergen.apis.caching import conditional
from ordergen.apis.conventions import PerCaller
from ordergen.apis.docs import V2_GUIDE, add_errors, add_repeats, tidy_parameters
from ordergen.apis.errors import plain_error, to_response
from ordergen.apis.idempotency import kept_with_what_it_changes, replayed
from ordergen.apis.json import Renderer, StrictParser
from ordergen.apis.parameters import strict_parameters
from ordergen.audit.api import router as audit_v2
from ordergen.ops import health
from ordergen.webhooks.api import router as webhooks_v2
from rebalance_app.api_v2 import router as rebalances_v2
from rebalance_app.v1.api import router as rebalances_v1

NOT_FOUND = "api-not-found"


class OrdergenAPI(NinjaAPI):
    """Ninja with our reading and writing of JSON, one translator of errors, and every operation closed by default."""

    def __init__(self, *, title: str, version: str, description: str, throttle: Sequence[BaseThrottle] = ()) -> None:
        super().__init__(
            title=title,
            version=version,
            description=description,
            auth=[Undeclared()],
            parser=StrictParser(),
            renderer=Renderer(),
            docs_decorator=for_members,
            throttle=list(throttle),
            urls_namespace=f"api-{version}",
        )

    def get_openapi_schema(self, **where: Any) -> OpenAPISchema:
        """The document with the errors that any operation may answer, which ninja cannot know."""
        schema = super().get_openapi_schema(**where)
        tidy_parameters(schema)
        if self.version == "v2":
            add_repeats(schema)
        add_errors(schema, version=self.version)
        return schema

    def on_exception(self, request: HttpRequest, exc: Any) -> HttpResponse:
        return to_response(request, exc)

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        return ValidationError([entry for context in error_contexts for entry in _entries(context)])


def _entries(context: ValidationErrorContext[Any]) -> list[dict[str, Any]]:
    """Pydantic's findings with the place as the caller sees it: without the name our function gives to the body."""
    model = context.model
    entries = []
    for found in context.pydantic_validation_error.errors(include_url=False):
        entry: dict[str, Any] = dict(found)
        loc = model.__ninja_flatten_map_reverse__.get(entry["loc"], entry["loc"])
        if isinstance(model, type) and issubclass(model, BodyModel):
            loc = entry["loc"][1:]
        entry["loc"] = [model.__ninja_param_source__, *loc]
        if "ctx" in entry:
            entry["ctx"] = {name: str(value) for name, value in entry["ctx"].items()}
        entries.append(entry)
    return entries


def for_members(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Documentation is for people who signed in, holders of a key, and a network that was declared closed."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        is_open = settings.ORDERGEN_API_AUTH == "none" and request.path.startswith("/api/v1/")
        if is_open or request.user.is_authenticated or find_api_key(key_sent(request)):
            return view(request, *args, **kwargs)
        if "text/html" in request.headers.get("Accept", ""):
            return redirect_to_login(request.get_full_path())
        return plain_error(request, HTTPStatus.UNAUTHORIZED)

    return guarded


@login_not_required
@csrf_exempt  # it changes nothing, and a caller without a token is to learn the address is wrong
def api_not_found(request: HttpRequest) -> HttpResponse:
    """What no operation answers: 307 to the address without (or with) its slash where that exists, else 404."""
    other = request.path.removesuffix("/") if request.path.endswith("/") else f"{request.path}/"
    try:
        is_known = resolve(other).url_name != NOT_FOUND
    except Resolver404:
        is_known = False
    if not is_known:
        return plain_error(request, HTTPStatus.NOT_FOUND)
    query = request.META.get("QUERY_STRING", "")
    response = HttpResponseRedirect(f"{other}?{query}" if query else other)
    response.status_code = HTTPStatus.TEMPORARY_REDIRECT
    return response


v1 = OrdergenAPI(
    title="ordergen API v1",
    version="v1",
    description="The drop-in contract: models, rebalances and their results. Decimals of models are strings, "
    "numbers of stored rebalances are JSON numbers.",
)
v1.add_router("", models_v1)
v1.add_router("", rebalances_v1)

v2 = OrdergenAPI(
    title="ordergen API v2",
    version="v2",
    description=V2_GUIDE,
    throttle=[PerCaller()],
)
v2.add_decorator(kept_with_what_it_changes, mode="view")  # the first: it looks at the operation itself
v2.add_decorator(conditional, mode="view")
v2.add_decorator(replayed)
v2.add_decorator(strict_parameters)
v2.add_router("", book_v2)
v2.add_router("", rebalances_v2)
v2.add_router("", account_v2)
v2.add_router("", people_v2)
v2.add_router("", audit_v2)
v2.add_router("", webhooks_v2)

APIS = {"/api/v1": v1, "/api/v2": v2}

urlpatterns: Sequence[URLPattern | URLResolver] = [
    re_path(r"^api/v[12]/$", api_not_found, name=NOT_FOUND),
    path("api/v1/", v1.urls),
    path("api/v2/", v2.urls),
    path("docs", login_not_required(RedirectView.as_view(url="/api/v1/docs"))),
    path("redoc", login_not_required(RedirectView.as_view(url="/api/v1/docs"))),
    path("openapi.json", login_not_required(RedirectView.as_view(url="/api/v1/openapi.json"))),
    path("health/", login_not_required(health.overall), name="health"),
    path("health/health", login_not_required(health.overall)),
    path("health/live", login_not_required(health.live)),
    path("health/ready", login_not_required(health.ready)),
    re_path(r"^health(?:/.*)?$", api_not_found, name=NOT_FOUND),
    re_path(r"^api(?:/.*)?$", api_not_found, name=NOT_FOUND),
]
