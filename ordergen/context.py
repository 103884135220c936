"""What every page shows around its content."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q, Sum
from django.http import HttpRequest

from models_app.models import InvestmentModel
from ordergen.core.models import Setting
from rebalance_app.models import ACTIVE, Rebalance
from rebalance_app.runs.selectors import AWAITING_ORDERS


def shell(request: HttpRequest) -> dict[str, Any]:
    """`data_label` says where the figures come from ("Synthetic market", nothing for a real book); `rail` counts."""
    if not request.user.is_authenticated:
        return {}
    return {"data_label": Setting.read("data_label"), "rail": _counts()}


def _counts() -> dict[str, int]:
    of_runs = Rebalance.objects.aggregate(
        running=Count("pk", filter=Q(state__in=ACTIVE)), awaiting=Sum(AWAITING_ORDERS), on_their_way=Sum("n_approved")
    )
    return {"models": InvestmentModel.objects.count(), **{name: n or 0 for name, n in of_runs.items()}}
