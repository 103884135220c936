"""What every page shows around its content."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from ordergen.models import Setting


def shell(request: HttpRequest) -> dict[str, Any]:
    """`data_label` says where the figures come from ("Synthetic market …"); empty for a real book."""
    if not request.user.is_authenticated:
        return {}
    return {"data_label": Setting.read("data_label")}
