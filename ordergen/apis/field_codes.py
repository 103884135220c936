"""What can be wrong with a field, in one word for programs: pydantic's many kinds and our own rules as a few codes."""

from __future__ import annotations

from enum import StrEnum


class FieldCode(StrEnum):
    MISSING = "missing"
    UNKNOWN = "unknown"  # no such name
    REPEATED = "repeated"
    EMPTY = "empty"
    WRONG_TYPE = "wrong_type"
    WRONG_FORMAT = "wrong_format"
    WRONG_LENGTH = "wrong_length"
    OUT_OF_RANGE = "out_of_range"
    NOT_A_CHOICE = "not_a_choice"
    INVALID = "invalid"  # well formed, and against a rule


_EXACT = {
    "missing": FieldCode.MISSING,
    "extra_forbidden": FieldCode.UNKNOWN,
    "enum": FieldCode.NOT_A_CHOICE,
    "literal_error": FieldCode.NOT_A_CHOICE,
    "decimal_text": FieldCode.WRONG_FORMAT,
    "day": FieldCode.WRONG_FORMAT,
    "instant": FieldCode.WRONG_FORMAT,
    "option": FieldCode.WRONG_TYPE,
    "string_unicode": FieldCode.WRONG_FORMAT,
    "string_pattern_mismatch": FieldCode.WRONG_FORMAT,
    "json_invalid": FieldCode.WRONG_FORMAT,
    "too_long": FieldCode.WRONG_LENGTH,
    "too_short": FieldCode.WRONG_LENGTH,
    "string_too_long": FieldCode.WRONG_LENGTH,
    "string_too_short": FieldCode.WRONG_LENGTH,
}


def field_code(kind: str) -> FieldCode:
    """The code of what pydantic calls `kind`."""
    if kind in _EXACT:
        return _EXACT[kind]
    if kind.startswith(("greater_than", "less_than", "multiple_of", "finite_number")):
        return FieldCode.OUT_OF_RANGE
    if kind.endswith("_parsing"):
        return FieldCode.WRONG_FORMAT
    return FieldCode.WRONG_TYPE if kind.endswith("_type") else FieldCode.INVALID
