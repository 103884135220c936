"""What the pages of closing take from people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django import forms

from models_app.imports.forms import UploadForm
from rebalance_app.closing.services import Closing
from rebalance_app.judging.lines import OrderLine
from rebalance_app.orders.decide import MAX_COMMENT

OUTCOMES = (
    ("closed", "Done outside of ordergen"),
    ("cancelled", "Cancelled"),
    ("lapsed", "Lapsed: its time is over"),
)
_SHARES = re.compile(r"[0-9]{1,3}([ ,’'][0-9]{3})+|[0-9]{1,18}")
_NOT_DIGITS = re.compile(r"[^0-9]")


class ClosingForm(forms.Form):
    """What became of some orders: one outcome and one reason for all, and of each how much was done."""

    outcome = forms.ChoiceField(label="What became of them", choices=OUTCOMES, widget=forms.RadioSelect)
    reason = forms.CharField(
        label="Reason",
        help_text="Kept with each order",
        max_length=MAX_COMMENT,
        widget=forms.Textarea({"rows": 2}),
    )

    def __init__(self, orders: Sequence[OrderLine], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.orders = orders
        for order in orders:
            self.fields[f"done_{order.pk}"] = forms.CharField(
                label=f"Shares done of {order.side} {order.quantity} {order.ticker} for {order.portfolio_name}",
                required=False,
                max_length=40,
                widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off", "size": 10}),
            )

    @property
    def rows(self) -> list[tuple[OrderLine, forms.BoundField]]:
        """Each order with its field."""
        return [(order, self[f"done_{order.pk}"]) for order in self.orders]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for order in self.orders:
            written = str(data.get(f"done_{order.pk}", "")).strip()
            if written and not _SHARES.fullmatch(written):
                self.add_error(f"done_{order.pk}", "Write a whole number of shares, or leave it empty.")
        return data

    @property
    def closings(self) -> list[Closing]:
        """What was said, of a valid form."""
        data = self.cleaned_data
        written = {order.pk: _NOT_DIGITS.sub("", data[f"done_{order.pk}"]) for order in self.orders}
        return [Closing(key, data["outcome"], int(digits) if digits else None) for key, digits in written.items()]

    def blame(self, fields: dict[str, str]) -> None:
        """Puts what the service refused at the fields it names."""
        for where, message in fields.items():
            _, at, name = (*where.split("."), "", "")[:3]
            is_row = at.isdigit() and name == "quantity"
            field = f"done_{self.orders[int(at)].pk}" if is_row else name or where
            self.add_error(field if field in self.fields else None, f"{message[:1].upper()}{message[1:]}.")


class ClosingFileForm(UploadForm):
    """A file of closings, and the reason of the rows that bring none."""

    reason = forms.CharField(
        label="Reason", help_text="Of the rows that bring none", max_length=MAX_COMMENT, required=False
    )
