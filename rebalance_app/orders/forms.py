"""What the pages of orders take from people: what to show, and decisions."""

from __future__ import annotations

from typing import Any

from django import forms

from models_app.portfolio.units import COLUMN_DIGITS
from rebalance_app.limits.forms import NUMBER
from rebalance_app.models import OrderState
from rebalance_app.orders.decide import MAX_COMMENT
from rebalance_app.orders.selectors import SORTS, TABS, BlotterFilter, Preview, tab_of

_SEPARATORS = str.maketrans("", "", " ,.\N{NO-BREAK SPACE}\N{APOSTROPHE}")


class OrderFilterForm(forms.Form):
    tab = forms.ChoiceField(required=False, choices=[(tab, tab) for tab in TABS])
    run = forms.IntegerField(label="Run", required=False, min_value=1, max_value=2**31 - 1)
    side = forms.ChoiceField(label="Side", required=False, choices=(("", "Any"), ("BUY", "Buy"), ("SELL", "Sell")))
    ticker = forms.CharField(
        label="Ticker", max_length=20, required=False, widget=forms.TextInput({"type": "search", "autocomplete": "off"})
    )
    portfolio = forms.CharField(label="Portfolio", max_length=255, required=False)
    value = forms.DecimalField(label="Value from", min_value=0, max_digits=COLUMN_DIGITS, required=False, widget=NUMBER)
    state = forms.ChoiceField(label="State", required=False, choices=(("", "Any"), *OrderState.choices))
    sort = forms.ChoiceField(
        required=False,
        choices=[(sign + name, name) for name in SORTS for sign in ("", "-")],
        widget=forms.HiddenInput,
    )
    after = forms.CharField(max_length=24, required=False)

    @property
    def wanted(self) -> BlotterFilter:
        """The filter; what could not be read is left out, for a list is never an error."""
        given = self.cleaned_data
        state, tab = given.get("state", ""), given.get("tab") or "awaiting"
        return BlotterFilter(
            tab_of(state, tab) if state else tab,
            given.get("run"),
            given.get("side", ""),
            given.get("ticker", "").strip(),
            given.get("portfolio", "").strip(),
            given.get("sort", ""),
            given.get("value"),
            state,
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
            self.require_comment()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("verdict") == "rejected" and not data.get("comment"):
            self.add_error("comment", "Say why the orders are rejected.")
        return data

    def require_comment(self) -> None:
        self.fields["comment"].widget.attrs["required"] = True  # the browser asks before we have to

    def agrees(self, preview: Preview) -> bool:
        """Whether what an approval takes was given: a reason, the number of orders. Says at the fields what was not."""
        has_reason = not preview.asks or bool(self.cleaned_data["comment"])
        if not has_reason:
            self.add_error("comment", "Say why: some of these orders are approved only with a reason.")
        return (not preview.is_large or self.confirms(preview.totals.count)) and has_reason

    def confirms(self, count: int) -> bool:
        """Whether the number of orders was typed, with or without separators; says so at the field when it was not."""
        typed: str = self.cleaned_data["typed"]
        is_right = typed.translate(_SEPARATORS) == str(count)
        if not is_right:
            self.add_error("typed", f"Type {count:,} to approve that many orders.")
        return is_right
