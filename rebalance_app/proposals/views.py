"""The page of one portfolio's proposal."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from ordergen.web.http import SignedInRequest, page
from rebalance_app.proposals import charts
from rebalance_app.proposals.selectors import proposal_get


@page("GET")
def proposal(request: SignedInRequest, run_id: str, portfolio_id: str) -> HttpResponse:
    """One portfolio's result: what was asked, what was found, and the proof."""
    found = proposal_get(run_id, portfolio_id)
    context: dict[str, Any] = {"proposal": found, "run": found.run, "row": found.row}
    if charts.chart_rows(found.lines):
        context |= {"figure": charts.before_after(found.lines), "height": charts.height(found.lines)}
    return render(request, "proposals/proposal.html", context)
