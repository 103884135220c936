"""What the page that makes a batch takes from people."""

from __future__ import annotations

from django import forms

from rebalance_app.sending.layouts import LAYOUTS


class BatchForm(forms.Form):
    layout = forms.ChoiceField(
        label="Layout",
        choices=[(layout.name, layout.title) for layout in LAYOUTS.values()],
        initial="orders",
        widget=forms.RadioSelect,
    )
