"""The help pages: how orders are found, the API by example, how runs scale and what is kept safe."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

TOPICS = {
    "orders": (
        "How orders are found",
        "The problem, the proof, every limit with its inequality, and what is not proven.",
    ),
    "states": (
        "The life of an order",
        "Every state with who moves an order there, what is on its way, and what runs do about it.",
    ),
    "lots": (
        "Tax lots and gain budgets",
        "How lots come into the book, which of them a sale takes, and what a budget of gains holds back.",
    ),
    "files": (
        "Files in and out",
        "How the files of brokers and spreadsheets are read, what is asked, and how an export comes back unchanged.",
    ),
    "problems": (
        "Fields of a problem",
        "Every field and option that runs, what-if and ordergen solve read: type, unit and default.",
    ),
    "api": ("The API: a first run", "The main job from another program, with curl and with Python."),
    "nightly": ("A nightly job", "The day’s prices into the book, and a run of each model that needs one."),
    "oms": ("An order management system", "How another system takes over what was approved, each order once."),
    "webhooks": ("Events and webhooks", "How other systems follow what changes, by asking or by being told."),
    "people": ("People and signing in", "Who gets in, how long that lasts, and how an administrator ends it."),
    "scale": ("How runs scale and what is kept safe", "The queue, what a kill -9 does, and where the limits are."),
}


@login_required
@require_safe
def contents(request: HttpRequest) -> HttpResponse:
    """What there is to read."""
    return render(request, "help/index.html", {"topics": TOPICS})


@login_required
@require_safe
def topic(request: HttpRequest, name: str) -> HttpResponse:
    """One page; 404 for a topic that there is not."""
    if name not in TOPICS:
        raise Http404(name)
    return render(request, f"help/{name}.html", {"title": TOPICS[name][0], "topics": TOPICS, "here": name})


urlpatterns = [
    path("", contents, name="help"),
    path("<slug:name>/", topic, name="help_topic"),
]
