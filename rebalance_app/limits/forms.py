"""What people enter as limits. Which names a subject has, and what they may be, is for `services` to say."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms

from rebalance_app.formats.problem_json import COST_DECIMALS
from rebalance_app.limits.services import NAMES

NUMBER = forms.TextInput({"inputmode": "decimal", "autocomplete": "off"})
PER_CENT = frozenset({"min_cash_weight", "max_cash_weight", "max_turnover"})  # entered as per cent, kept as fractions


def _number(label: str, hint: str = "", *, decimals: int = 4, **more: Any) -> forms.DecimalField:
    """A field with as many decimals as are shown again, so that no limit ever looks like another one."""
    return forms.DecimalField(
        label=label, help_text=hint, required=False, widget=NUMBER, max_digits=18, decimal_places=decimals, **more
    )


def _percentage(label: str, hint: str) -> forms.DecimalField:
    told = dict.fromkeys(
        ("min_value", "max_value"), "Must be between 0 and 100 %%."
    )  # Django fills in what is behind a %
    return _number(label, hint, min_value=0, max_value=100, error_messages=told)


FIELDS: dict[str, forms.Field] = {
    "hold": forms.BooleanField(label="On hold", help_text="Nothing is traded", required=False),
    "min_cash": _number("Cash floor", "Money that must remain after the trades"),
    "min_cash_weight": _percentage("Cash floor, %", "The same in per cent of market value"),
    "max_cash": _number("Cash ceiling", "No more money than this may stay idle"),
    "max_cash_weight": _percentage("Cash ceiling, %", "The same in per cent of market value"),
    "min_trade_value": _number("Smallest order", "No order below this value, unless it closes a position"),
    "max_turnover": _percentage("Most turnover, %", "Half of what is traded, in per cent of market value"),
    "max_trades": forms.IntegerField(label="Most orders", required=False, widget=NUMBER),
    "gain_budget": _number("Gain budget", "The most that sales may gain; needs tax lots"),
    "cost_bps": _number(
        "Cost of trading, bp", "Basis points of an order's value, weighed against drift", decimals=COST_DECIMALS
    ),
    "ticket_cost": _number("Cost of an order", "Money per order, weighed against drift"),
    "lot_size": forms.IntegerField(
        label="Lot size", help_text="Shares trade in multiples of it", required=False, widget=NUMBER
    ),
    "no_buy": forms.BooleanField(label="Do not buy", required=False),
    "no_sell": forms.BooleanField(label="Do not sell", required=False),
}
NEGATED = {"no_buy": "can_buy", "no_sell": "can_sell"}  # a box that is ticked says what may not be done


class LimitsForm(forms.Form):
    """The limits of one subject. `limits` of a valid form is what `limits_set` takes."""

    def __init__(self, scope: str, values: Mapping[str, Any], data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, initial=shown(values))
        names = NAMES[scope]
        self.fields = {name: field for name, field in FIELDS.items() if NEGATED.get(name, name) in names}
        self.fields["reason"] = forms.CharField(label="Why", max_length=500, help_text="Kept with the limits")

    @property
    def limits(self) -> dict[str, Any]:
        """Entered values in the units of options: fractions for per cent, text for decimals."""
        return entered({name: value for name, value in self.cleaned_data.items() if name != "reason"})


def entered(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was filled in, as options and limits keep it. A zero was: it equals False, and means something else."""
    return dict(kept(name, value) for name, value in values.items() if value not in (None, "") and value is not False)


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Limits as the form shows them."""
    found = {name: Decimal(value) * 100 if name in PER_CENT else value for name, value in values.items()}
    found |= {box: found.get(name) is False for box, name in NEGATED.items()}
    return {name: _plain(value) if isinstance(value, Decimal) else value for name, value in found.items()}


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def kept(name: str, value: Any) -> tuple[str, Any]:
    """An entered value as options and limits keep it: with its name, in fractions, decimals as text."""
    if name in NEGATED:
        return NEGATED[name], False
    if isinstance(value, Decimal):
        return name, _plain(value / 100 if name in PER_CENT else value)
    return name, value
