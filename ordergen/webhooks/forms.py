"""The forms of webhooks: a new one, and from where to send again."""

from __future__ import annotations

from django import forms

from ordergen.audit.feed import KINDS
from ordergen.webhooks.addresses import MAX_URL
from ordergen.webhooks.services import MAX_DESCRIPTION

_LABELS = {
    "model": "Models: created, changed, deleted",
    "rebalance": "Runs: launched, finished, cancelled, stopped",
    "orders": "Orders: every decision",
    "limits": "Limits set",
    "book": "The book: imports and changes",
}


class WebhookForm(forms.Form):
    url = forms.CharField(
        label="Address", max_length=MAX_URL, help_text="Such as https://oms.example.org/ordergen. It takes POST."
    )
    kinds = forms.MultipleChoiceField(
        label="What it is told",
        required=False,
        choices=[(kind, _LABELS[kind]) for kind in KINDS],
        widget=forms.CheckboxSelectMultiple,
        help_text="None: everything.",
    )
    description = forms.CharField(max_length=MAX_DESCRIPTION, required=False, help_text="What listens there.")


class ReplayForm(forms.Form):
    after = forms.IntegerField(
        label="Again everything behind event",
        min_value=0,
        max_value=2**62,
        help_text="The number of an event in the audit trail; 0 for all there ever was.",
    )
