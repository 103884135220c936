"""What the list of a run's portfolios takes from people."""

from __future__ import annotations

from django import forms

from ordergen.web.tables import SortLink
from rebalance_app.models import ProposalState
from rebalance_app.proposals.selectors import PROPOSAL_SORTS, ProposalFilter


class ProposalFilterForm(forms.Form):
    outcome = forms.ChoiceField(required=False, choices=[("failures", "Failures"), *ProposalState.choices])
    reason = forms.CharField(max_length=40, required=False)
    name = forms.CharField(label="Portfolio", max_length=255, required=False)
    sort = forms.ChoiceField(
        required=False, choices=[(sign + name, name) for name in PROPOSAL_SORTS for sign in ("", "-")]
    )
    after = forms.CharField(max_length=24, required=False)

    @property
    def wanted(self) -> ProposalFilter:
        return ProposalFilter(*(self.cleaned_data.get(name, "") for name in ("outcome", "reason", "name", "sort")))

    @property
    def sort_links(self) -> dict[str, SortLink]:
        """By column: the largest first, then the smallest, then by name again."""
        sort = self.wanted.sort
        return {
            name: SortLink(
                f"-{name}" if sort.lstrip("-") != name else name if sort.startswith("-") else "",
                {name: "ascending", f"-{name}": "descending"}.get(sort, ""),
            )
            for name in PROPOSAL_SORTS
        }
