"""Tags of the frame around every page: the rail, what a person may see of it, and charts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder

if TYPE_CHECKING:
    from ordergen.accounts.models import User

register = template.Library()


@register.filter
def can(user: User, permission: str) -> bool:
    """Whether the person's roles grant `permission`, for `{% if user|can:"order.decide" %}`."""
    return user.is_authenticated and user.can(permission)


@register.inclusion_tag("partials/rail_item.html", takes_context=True)
def rail_item(
    context: template.Context, label: str, path: str, count: int | None = None, *, hot: bool = False
) -> dict[str, Any]:
    """One entry of the rail; it is current on its page and the pages below it. `hot` marks work that waits."""
    request = context.get("request")
    here = request.path if request else ""
    current = here == path or (path != "/" and here.startswith(path))
    return {"label": label, "path": path, "count": count, "hot": hot, "current": current}


@register.inclusion_tag("partials/chart.html")
def chart(figure: Mapping[str, Any], label: str, height: int = 320) -> dict[str, Any]:
    """A Plotly figure for charts.js; `label` is what a screen reader hears, the table beside it has the figures."""
    return {"figure": json.dumps(figure, cls=DjangoJSONEncoder), "label": label, "height": height}
