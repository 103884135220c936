"""What the audit page takes from people."""

from __future__ import annotations

from typing import cast

from django import forms

from ordergen.audit.selectors import AuditFilter, audit_actions, audit_actors

DAY = forms.DateInput({"type": "date"}, format="%Y-%m-%d")


class AuditFilterForm(forms.Form):
    who = forms.CharField(label="Who", required=False, max_length=150, widget=forms.Select)
    action = forms.CharField(label="Action", required=False, max_length=60, widget=forms.Select)
    since = forms.DateField(label="From", required=False, input_formats=["%Y-%m-%d"], widget=DAY)
    until = forms.DateField(label="To", required=False, input_formats=["%Y-%m-%d"], widget=DAY)
    object = forms.CharField(required=False, max_length=24, widget=forms.HiddenInput)
    before = forms.IntegerField(required=False, min_value=0, max_value=2**62)

    def offer(self) -> None:
        """Fills the lists of people and actions; what is asked for is on them even where nothing has it."""
        for name, known in (("who", audit_actors()), ("action", audit_actions())):
            widget, asked = cast("forms.Select", self.fields[name].widget), self.data.get(name, "")
            more = [] if asked in (*known, "") else [(asked, f"{asked[:60]}…")]
            widget.choices = [("", "Anybody" if name == "who" else "Any"), *((word, word) for word in known), *more]

    @property
    def wanted(self) -> AuditFilter:
        """The filter; what could not be read is left out, for a list is never an error."""
        given = self.cleaned_data
        return AuditFilter(
            given.get("who", ""),
            given.get("action", ""),
            given.get("since"),
            given.get("until"),
            given.get("object", ""),
        )
