"""What the pages of runs take from people. The limits of options are the optimiser's own."""

from __future__ import annotations

import uuid
from copy import deepcopy
from typing import Any, cast

from django import forms
from django.conf import settings

from models_app.portfolio.types import ProblemError
from rebalance_app.formats.problem_json import options_from_json
from rebalance_app.limits.forms import FIELDS, NUMBER, entered, shown
from rebalance_app.models import OpenOrders
from rebalance_app.runs.preflight import LaunchScope, Preflight

MODES = (
    ("to_target", "To target: the least drift that whole shares allow"),
    ("within_bands", "Into the bands: as little trading as brings every position inside"),
    ("only_breached", "Only what is outside: positions inside their band are left alone"),
    ("invest_cash", "Invest cash: buys only"),
    ("raise_cash", "Raise cash: sells only, up to the cash floor below"),
)
OPEN_ORDERS = (
    (OpenOrders.NET, "Count them as done: what is bought is there, what is sold is gone, at the prices of this run"),
    (OpenOrders.LEAVE_OUT, "Leave their portfolios out, and say which order was in the way"),
)
OPTION_FIELDS = (
    "mode", "min_cash", "min_cash_weight", "max_cash", "max_cash_weight", "min_trade_value", "max_turnover",
    "max_trades", "gain_budget", "cost_bps", "ticket_cost", "reserve_costs", "time_limit", "soft_bands", "nearest",
)  # fmt: skip


class LaunchForm(forms.Form):
    """Which portfolios to rebalance and how. `options` of the cleaned data is what the launch takes."""

    scope = forms.ChoiceField(label="Portfolios", widget=forms.RadioSelect)
    mode = forms.ChoiceField(label="How", choices=MODES, widget=forms.RadioSelect, initial="to_target")
    open_orders = forms.ChoiceField(
        label="Orders on their way", choices=OPEN_ORDERS, widget=forms.RadioSelect, required=False
    )  # a page that was opened before an upgrade does not send it
    time_limit = forms.DecimalField(
        label="Seconds per portfolio", max_value=settings.OPTIMIZATION_TIMEOUT, required=False, widget=NUMBER
    )
    reserve_costs = forms.BooleanField(
        label="Costs above the floor",
        help_text="What the orders cost is not taken from the cash that must remain",
        required=False,
        initial=True,
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
        self.initial.update(shown(preflight.options) | {"open_orders": preflight.open_orders})
        self.fields |= {name: deepcopy(FIELDS[name]) for name in OPTION_FIELDS if name not in self.fields}
        self.preflight = preflight
        choices = [(scope.key, scope.label) for scope in preflight.scopes]
        field = cast("forms.ChoiceField", self.fields["scope"])
        field.choices = choices
        field.initial = choices[0][0]
        self.fields["idempotency_key"].initial = uuid.uuid4().hex
        self.fields["time_limit"].initial = settings.OPTIMIZATION_TIMEOUT
        for name, value in shown(preflight.in_force.values).items():
            if name in OPTION_FIELDS:  # an empty field is not "no limit" where the model has one
                self.fields[name].widget.attrs["placeholder"] = f"{value} (model)"

    @property
    def option_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in OPTION_FIELDS[1:]]

    @property
    def has_limits(self) -> bool:
        """Whether it comes with limits filled in, which are not to be missed."""
        usual = ("mode", "time_limit", "reserve_costs")
        return any(self.initial.get(name) for name in OPTION_FIELDS if name not in usual)

    @property
    def chosen(self) -> LaunchScope:
        return self.preflight.scope(self.cleaned_data["scope"])

    def clean_open_orders(self) -> OpenOrders:
        return OpenOrders(self.cleaned_data["open_orders"] or OpenOrders.NET)

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
        given = entered({name: data.get(name) for name in OPTION_FIELDS})
        return given | {"reserve_costs": bool(data.get("reserve_costs"))}  # a box without its tick says no


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
