"""The form of a new API key."""

from __future__ import annotations

from django import forms

from ordergen.accounts.keys import MAX_DAYS, MAX_NAME_LENGTH, SCOPES


class KeyForm(forms.Form):
    name = forms.CharField(max_length=MAX_NAME_LENGTH, help_text="What it is for, such as “nightly import”.")
    days = forms.IntegerField(label="Days", min_value=1, max_value=MAX_DAYS, initial=90, help_text="Until it expires.")
    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{words} ({scope})") for scope, words in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
        label="What it may do",
        help_text="Never more than your own roles allow.",
    )
