"""What the page that makes a batch takes from people."""

from __future__ import annotations

from django import forms

from rebalance_app.orders.decide import MAX_COMMENT
from rebalance_app.sending.services import layouts_offered


class BatchForm(forms.Form):
    layout = forms.ChoiceField(
        label="Layout",
        choices=lambda: [(layout.name, layout.title) for layout in layouts_offered().values()],
        initial="orders",
        widget=forms.RadioSelect,
    )


class SettleForm(forms.Form):
    """Whether the service has an order, and how somebody knows."""

    order = forms.CharField(max_length=24)
    answer = forms.ChoiceField(choices=(("received", "It has it"), ("not_received", "It has it not")))
    destination_id = forms.CharField(max_length=40, required=False)
    reason = forms.CharField(max_length=MAX_COMMENT)
