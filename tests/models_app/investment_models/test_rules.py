"""What a model may say, and that every fault is named at its field, all at once."""

from dataclasses import replace
from decimal import Decimal

import pytest

from models_app.investment_models import rules
from models_app.investment_models.rules import ModelDraft, PositionDraft, check
from ordergen.core.errors import InvalidInputError

PORTFOLIO = "a" * 24


def security(n: int) -> str:
    return f"SEC{n:021d}"


def position(n=1, target="0.05", low="0.01", high="0.02"):
    return PositionDraft(security(n), Decimal(target), Decimal(low), Decimal(high))


def draft(*positions, name="Growth", portfolios=(PORTFOLIO,)):
    return ModelDraft(name, positions, portfolios)


def faults(given: ModelDraft) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        check(given)
    return caught.value.fields


def test_a_sound_model_passes_unchanged_but_for_its_trimmed_name():
    given = draft(position(1), position(2, "0.150"), name="  Growth  ")
    assert check(given) == replace(given, name="Growth")


@pytest.mark.parametrize("target", ["0", "0.005", "0.150", "0.95", "1e-2", "0.9500000000"])
def test_a_target_is_zero_or_a_multiple_of_half_a_percent_up_to_95(target):
    check(draft(position(target=target)))


@pytest.mark.parametrize("target", ["0.123", "0.0001", "0.949", "0.0050000000000000000000000000000000001"])
def test_a_target_between_two_steps_is_refused_at_its_field(target):
    assert "steps of 0.5 %" in faults(draft(position(target=target)))["positions.0.target"]


@pytest.mark.parametrize("target", ["0.955", "1", "-0.005", "1e30", "-1e30", "0.95000000000000000000000000000000001"])
def test_a_target_outside_0_to_95_percent_is_refused(target):
    assert "between 0 and 95 %" in faults(draft(position(target=target)))["positions.0.target"]


@pytest.mark.parametrize("value", ["NaN", "sNaN", "-NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["target", "low_drift", "high_drift"])
def test_what_is_not_a_finite_number_is_refused_at_its_field(field, value):
    broken = replace(position(), **{field: Decimal(value)})
    assert faults(draft(broken)) == {f"positions.0.{field}": "This is not a number."}


@pytest.mark.parametrize("field", ["target", "low_drift", "high_drift"])
@pytest.mark.parametrize("value", [True, False, None, "0.05", 0.05])
def test_only_decimals_are_numbers_and_booleans_never_are(field, value):
    assert f"positions.0.{field}" in faults(draft(replace(position(), **{field: value})))


@pytest.mark.parametrize(
    "text", ["", " ", "abc", "1,5", "1e9999999999", "--1", "nan", "inf", "1e41", True, None, [], "½"]
)
def test_text_that_is_no_number_becomes_nan_so_that_check_can_name_it(text):
    assert rules.number(text).is_nan()


@pytest.mark.parametrize(
    ("text", "value"), [(" 0.05 ", "0.05"), (5, "5"), ("1e-2", "0.01"), ("-0", "0"), ("0e99", "0")]
)
def test_plain_numbers_are_read_exactly(text, value):
    assert rules.number(text) == Decimal(value)


def test_targets_may_add_up_to_exactly_95_percent():
    check(draft(*(position(n, "0.095") for n in range(10))))


def test_a_sum_of_955_is_refused_and_says_by_how_much():
    message = faults(draft(position(1, "0.9"), position(2, "0.055")))["positions"]
    assert message == "Targets add up to 95.5 %, 0.5 pp above the 95 % allowed."


def test_a_hundred_positions_and_any_number_of_zeros_are_fine_and_the_zeros_are_dropped():
    held = [position(n, "0.005") for n in range(100)]
    zeros = [position(n, "0") for n in range(100, 150)]
    assert check(draft(*zeros, *held)).positions == tuple(held)


def test_a_hundred_and_one_positive_targets_are_refused():
    assert "at most 100 positions" in faults(draft(*(position(n, "0.005") for n in range(101))))["positions"]


def test_too_many_and_too_much_are_both_said():
    message = faults(draft(*(position(n, "0.01") for n in range(101))))["positions"]
    assert "at most 100 positions" in message
    assert "101 %" in message


def test_a_security_twice_is_refused_even_when_one_of_them_has_a_zero_target():
    assert faults(draft(position(1), position(1, "0"))) == {
        "positions.1.security_id": "This security is already in row 1; a model has it once."
    }


@pytest.mark.parametrize("drift", ["0", "1", "0.000001", "1.000000"])
def test_a_band_is_between_0_and_1(drift):
    check(draft(position(low="0", high=drift)))


@pytest.mark.parametrize("drift", ["-0.01", "1.000001", "1e30", "5"])
def test_a_band_outside_0_to_1_is_refused(drift):
    assert "between 0 and 100" in faults(draft(position(low="0", high=drift)))["positions.0.high_drift"]


def test_a_band_finer_than_is_stored_is_refused_rather_than_rounded():
    assert "6 decimals" in faults(draft(position(high="0.0200001")))["positions.0.high_drift"]


def test_a_low_band_wider_than_the_high_one_is_refused():
    assert (
        "wider than the high band (1 pp)" in faults(draft(position(low="0.02", high="0.01")))["positions.0.low_drift"]
    )


def test_equal_bands_and_zero_bands_are_fine():
    check(draft(position(1, low="0.01", high="0.01"), position(2, low="0", high="0")))


def test_a_minus_zero_never_reaches_the_database():
    kept = check(draft(position(low="-0", high="-0"))).positions[0]
    assert (str(kept.low_drift), str(kept.high_drift)) == ("0", "0")


@pytest.mark.parametrize("given", ["", "short", "x" * 23, "x" * 25, "é" * 24, "x" * 23 + " ", "x" * 24 + "\n", None, 7])
def test_a_security_id_is_24_letters_or_digits(given):
    assert "24 letters or digits" in faults(draft(replace(position(), security_id=given)))["positions.0.security_id"]


@pytest.mark.parametrize("name", ["x", "x" * 255, "Großer Fonds 日本", "<script>alert(1)</script>", "a b"])
def test_a_name_of_1_to_255_characters_is_fine(name):
    assert check(draft(name=name)).name == name


@pytest.mark.parametrize("name", ["", "   ", "\t\n", "x" * 256, "a\x00b", "a\nb", "\ud800", None])
def test_a_blank_too_long_or_unprintable_name_is_refused(name):
    assert list(faults(draft(name=name))) == ["name"]


def test_a_model_needs_a_portfolio():
    assert faults(draft(portfolios=())) == {"portfolios": "A model needs at least one portfolio."}


@pytest.mark.parametrize("given", ["", "abc", "g" * 24, "a" * 25, 5])
def test_a_portfolio_id_is_24_hexadecimal_characters(given):
    assert "24 hexadecimal" in faults(draft(portfolios=(given,)))["portfolios"]


def test_a_portfolio_twice_is_refused_by_name():
    assert repr(PORTFOLIO) in faults(draft(portfolios=(PORTFOLIO, PORTFOLIO)))["portfolios"]


def test_a_model_without_positions_may_be_saved():
    assert check(draft()).positions == ()


def test_every_fault_is_reported_in_one_answer():
    bad = draft(position(1, "0.123"), position(1, "0.05", low="3"), name=" ", portfolios=("x",))
    assert set(faults(bad)) == {
        "name", "positions.0.target", "positions.1.low_drift", "positions.1.security_id", "portfolios",
    }  # fmt: skip


def test_the_sum_bar_leaves_out_what_is_no_number():
    sums = rules.totals([position(1, "0.2"), position(2, "NaN"), position(3, "0"), position(4, "0.1", high="NaN")])
    assert (sums.target, sums.cash, sums.upper, sums.n_positions) == (
        Decimal("0.3"), Decimal("0.7"), Decimal("0.32"), 2,
    )  # fmt: skip
