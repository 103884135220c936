"""What the pages of runs and orders take from people. The limits of options are the domain's own."""

from __future__ import annotations

import uuid
from copy import deepcopy
from typing import Any, cast

from django import forms
from django.conf import settings

from models_app.portfolio.types import ProblemError
from models_app.portfolio.units import COLUMN_DIGITS
from rebalance_app.limits.forms import FIELDS, NUMBER, entered, shown
from rebalance_app.models import ProposalState
from rebalance_app.optimiser.problem.json_format import options_from_json
from rebalance_app.orders.decide import MAX_COMMENT
from rebalance_app.orders.paging import SortLink
from rebalance_app.orders.selectors import SORTS, TABS, OrderFilter
from rebalance_app.runs.preflight import Preflight, Scope
from rebalance_app.runs.selectors import PROPOSAL_SORTS, ProposalFilter

_SEPARATORS = str.maketrans("", "", " ,.\N{NO-BREAK SPACE}\N{APOSTROPHE}")
MODES = (
    ("to_target", "To target: the least drift that whole shares allow"),
    ("within_bands", "Into the bands: as little trading as brings every position inside"),
    ("only_breached", "Only what is outside: positions inside their band are left alone"),
    ("invest_cash", "Invest cash: buys only"),
    ("raise_cash", "Raise cash: sells only, up to the cash floor below"),
)
OPTION_FIELDS = (
    "mode", "min_cash", "min_cash_weight", "max_cash", "max_cash_weight", "min_trade_value", "max_turnover",
    "max_trades", "gain_budget", "cost_bps", "ticket_cost", "time_limit", "soft_bands", "nearest",
)  # fmt: skip


class LaunchForm(forms.Form):
    """Which portfolios to rebalance and how. `options` of the cleaned data is what the launch takes."""

    scope = forms.ChoiceField(label="Portfolios", widget=forms.RadioSelect)
    mode = forms.ChoiceField(label="How", choices=MODES, widget=forms.RadioSelect, initial="to_target")
    time_limit = forms.DecimalField(
        label="Seconds per portfolio", max_value=settings.OPTIMIZATION_TIMEOUT, required=False, widget=NUMBER
    )
    soft_bands = forms.BooleanField(
        label="Bands are soft",
        help_text="They may be left where that cannot be helped, at a high price",
        required=False,
    )
    nearest = forms.BooleanField(
        label="Nearest answer",
        help_text="Where there is none, say how near one comes and what it exceeds",
        required=False,
    )
    note = forms.CharField(label="Note", help_text="Kept with the run", max_length=500, required=False)
    idempotency_key = forms.CharField(widget=forms.HiddenInput, max_length=100)

    def __init__(self, preflight: Preflight, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(shown(preflight.options))
        self.fields |= {name: deepcopy(FIELDS[name]) for name in OPTION_FIELDS if name not in self.fields}
        self.preflight = preflight
        choices = [(scope.key, scope.label) for scope in preflight.scopes]
        field = cast("forms.ChoiceField", self.fields["scope"])
        field.choices = choices
        field.initial = choices[0][0]
        self.fields["idempotency_key"].initial = uuid.uuid4().hex
        self.fields["time_limit"].initial = settings.OPTIMIZATION_TIMEOUT
        for name, value in shown(preflight.standing.values).items():
            if name in OPTION_FIELDS:  # an empty field is not "no limit" where the model has one
                self.fields[name].widget.attrs["placeholder"] = f"{value} (model)"

    @property
    def option_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in OPTION_FIELDS[1:]]

    @property
    def has_limits(self) -> bool:
        """Whether it comes with limits filled in, which are not to be missed."""
        return any(self.initial.get(name) for name in OPTION_FIELDS if name not in ("mode", "time_limit"))

    @property
    def chosen(self) -> Scope:
        return self.preflight.scope(self.cleaned_data["scope"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        data["options"] = self._options(data)
        try:
            options_from_json(data["options"])
        except ProblemError as error:
            name = error.field.rpartition(".")[2]
            self.add_error(name if name in self.fields else None, error.message.capitalize() + ".")
        return data

    def _options(self, data: dict[str, Any]) -> dict[str, Any]:
        return entered({name: data.get(name) for name in OPTION_FIELDS})


class RunFilterForm(forms.Form):
    only = forms.ChoiceField(
        label="Show",
        required=False,
        choices=(
            ("", "All runs"),
            ("active", "Active"),
            ("awaiting", "Awaiting approval"),
            ("failures", "With failures"),
        ),
    )
    model = forms.CharField(label="Model", max_length=255, required=False, widget=forms.TextInput({"type": "search"}))
    portfolio = forms.CharField(required=False, max_length=24, widget=forms.HiddenInput)
    before = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1)


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


class OrderFilterForm(forms.Form):
    tab = forms.ChoiceField(required=False, choices=[(tab, tab) for tab in TABS])
    run = forms.IntegerField(label="Run", required=False, min_value=1, max_value=2**31 - 1)
    side = forms.ChoiceField(label="Side", required=False, choices=(("", "Any"), ("BUY", "Buy"), ("SELL", "Sell")))
    ticker = forms.CharField(
        label="Ticker", max_length=20, required=False, widget=forms.TextInput({"type": "search", "autocomplete": "off"})
    )
    portfolio = forms.CharField(label="Portfolio", max_length=255, required=False)
    value = forms.DecimalField(label="Value from", min_value=0, max_digits=COLUMN_DIGITS, required=False, widget=NUMBER)
    sort = forms.ChoiceField(
        required=False,
        choices=[(sign + name, name) for name in SORTS for sign in ("", "-")],
        widget=forms.HiddenInput,
    )
    after = forms.CharField(max_length=24, required=False)

    @property
    def wanted(self) -> OrderFilter:
        """The filter; what could not be read is left out, for a list is never an error."""
        given = self.cleaned_data
        return OrderFilter(
            given.get("tab") or "awaiting",
            given.get("run"),
            given.get("side", ""),
            given.get("ticker", "").strip(),
            given.get("portfolio", "").strip(),
            given.get("sort", ""),
            given.get("value"),
        )


class SelectionForm(forms.Form):
    """What is to be decided on: some orders, or all of one run that await a decision."""

    verdict = forms.ChoiceField(choices=(("approved", "Approve"), ("rejected", "Reject")))
    run = forms.CharField(max_length=24, required=False)
    whole_run = forms.BooleanField(required=False)


class DecisionForm(forms.Form):
    """The decision itself; `expected` is how many orders of the run the person saw."""

    verdict = forms.ChoiceField(choices=(("approved", "Approve"), ("rejected", "Reject")))
    run = forms.CharField(max_length=24, required=False)
    expected = forms.IntegerField(required=False, min_value=0)
    typed = forms.CharField(max_length=20, required=False)
    comment = forms.CharField(
        max_length=MAX_COMMENT, required=False, widget=forms.Textarea({"rows": 2, "autofocus": True})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "rejected" in (self.data.get("verdict"), self.initial.get("verdict")):
            self.fields["comment"].widget.attrs["required"] = True  # the browser asks before we have to

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("verdict") == "rejected" and not data.get("comment"):
            self.add_error("comment", "Say why the orders are rejected.")
        return data

    def confirms(self, count: int) -> bool:
        """Whether the number of orders was typed, with or without separators; says so at the field when it was not."""
        typed: str = self.cleaned_data["typed"]
        is_right = typed.translate(_SEPARATORS) == str(count)
        if not is_right:
            self.add_error("typed", f"Type {count:,} to approve that many orders.")
        return is_right
