"""What the pages of sign-in, keys and people take."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from ordergen.accounts.keys import MAX_DAYS, MAX_NAME_LENGTH, SCOPES
from ordergen.accounts.names import MAX_LENGTH
from ordergen.accounts.roles import Role
from ordergen.accounts.sign_in.check import right_person
from ordergen.accounts.sign_in.throttle import ThrottledError


class SignInForm(AuthenticationForm):
    """Name and password. Whatever is wrong with them is said in one and the same way."""

    code = forms.CharField(
        required=False,
        max_length=20,
        widget=forms.TextInput({"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )
    request: HttpRequest
    retry_after = 0  # seconds, where too many tries failed

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.get_initial_for_field(self.fields["username"], "username"):  # what is missing is the password
            del self.fields["username"].widget.attrs["autofocus"]
            self.fields["password"].widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("username") and given.get("password") and "code" in given:
            try:
                self.user_cache = right_person(self.request, given["username"], given["password"], given["code"])
            except ThrottledError as refused:
                self.retry_after = refused.retry_after or 0
            if self.user_cache is None:
                raise self.get_invalid_login_error()
        return given

    def get_invalid_login_error(self) -> ValidationError:
        return ValidationError(
            f"This name and this password (and this code, if you use an authenticator) do not belong together, or they "
            f"were wrong {settings.SIGN_IN_TRIES} times. Then wait {settings.SIGN_IN_LOCK_MINUTES} minutes."
        )


class KeyForm(forms.Form):
    name = forms.CharField(max_length=MAX_NAME_LENGTH, help_text="What it is for, such as “nightly import”.")
    days = forms.IntegerField(label="Days", min_value=1, max_value=MAX_DAYS, initial=90, help_text="Until it expires.")
    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{words} ({scope})") for scope, words in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
        label="What it may do",
        help_text="Never more than your own roles allow.",
    )


class PasswordForm(forms.Form):
    """One's own password, changed."""

    old_password = forms.CharField(
        label="Present password",
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )
    new_password = forms.CharField(
        label="New password",
        strip=False,
        max_length=4096,
        help_text="At least 12 characters, and not one that many people use. Several words are easy to remember.",
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )
    new_password_again = forms.CharField(
        label="New password, once more",
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if "new_password_again" in given and given["new_password_again"] != given.get(
            "new_password", given["new_password_again"]
        ):
            self.add_error("new_password_again", "This is not the same password.")
        return given


class RolesForm(forms.Form):
    """`seen` are the roles that the page showed."""

    roles = forms.MultipleChoiceField(
        choices=Role.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Roles",
        help_text="Nobody approves what they launched or edited, whatever their roles.",
    )
    seen = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput)


class PersonForm(forms.Form):
    """Somebody new."""

    username = forms.CharField(
        label="Name",
        max_length=MAX_LENGTH,
        help_text="Letters, digits and @ . + - _ ; it cannot be changed later.",
        widget=forms.TextInput({"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    roles = forms.MultipleChoiceField(choices=Role.choices, widget=forms.CheckboxSelectMultiple, label="Roles")


class CodeForm(forms.Form):
    """The first code of an authenticator."""

    code = forms.CharField(
        label="Code that the app shows",
        max_length=20,
        widget=forms.TextInput({"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )
