"""The wire format of `ordergen solve`: what is written is read back, and what is wrong is refused by name."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.instances import small
from models_app.portfolio.types import ProblemError
from rebalance_app.formats.problem_json import loads, problem_from_json, problem_to_json
from rebalance_app.formats.solution_json import kept, solution_from_json, solution_to_json
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D, document, position, problem


def test_the_example_of_the_design_gives_the_answer_of_the_design():
    written = solution_to_json(solve(problem_from_json(document())))
    assert written["quantities"] == {"A": 11}
    assert written["trades"] == [{"security_id": "A", "side": "BUY", "quantity": 1}]
    assert {"portfolio_id": "P1", "status": "optimal", "method": "separable"}.items() <= written.items()
    assert [written[k] for k in ("market_value", "objective", "lower_bound", "gap", "cash_after")] == [
        "1103.00",
        "0.30",
        "0.30",
        "0.00",
        "993.00",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", True),
        ("price", "NaN"),
        ("price", "Infinity"),
        ("price", "1e30"),
        ("price", "1_000"),
        ("price", " 10"),
        ("price", "١٠"),
        ("price", ""),
        ("price", [10]),
        ("price", float("nan")),
        ("price", "0." + "1" * 13),
        ("quantity", None),
        ("quantity", "ten"),
        ("target", "1.01"),
        ("target", "-0.01"),
        ("low_drift", None),
        ("lot_size", 0),
        ("lot_size", "1"),
        ("lot_size", 1.5),
        ("lot_size", True),
        ("can_buy", 1),
        ("can_buy", "true"),
        ("security_id", ""),
        ("security_id", 7),
        ("lots", [{"quantity": "1"}]),
        ("lots", {"quantity": "1", "cost": "1"}),
        ("weight", "0.1"),
    ],
)
def test_a_position_that_is_wrong_is_refused_at_its_field(field, value):
    with pytest.raises(ProblemError) as refused:
        problem_from_json(document(**{field: value}))
    assert refused.value.field.startswith(f"positions[0].{field}")


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "fastest"},
        {"mode": None},
        {"max_trades": -1},
        {"max_trades": "3"},
        {"time_limit": 0},
        {"time_limit": True},
        {"time_limit": 1e9},
        {"min_trade_value": "-1"},
        {"cost_bps": "0.000001"},
        {"min_cash_weight": "2"},
        {"max_turnover": "1.01"},
        {"soft_bands": "yes"},
        {"speed": "high"},
        {"min_cash": None},
    ],
)
def test_an_option_that_is_wrong_is_refused_at_its_field(options):
    with pytest.raises(ProblemError) as refused:
        problem_from_json(document(options=options))
    assert refused.value.field == f"options.{next(iter(options))}"


@pytest.mark.parametrize("value", [None, [], "text", 3, {}, {"portfolio_id": "P", "cash": "1", "positions": {}}])
def test_what_is_no_problem_at_all_is_refused(value):
    with pytest.raises(ProblemError):
        problem_from_json(value)


def test_a_security_listed_twice_and_an_unknown_key_are_refused():
    twice = document()
    twice["positions"] *= 2
    with pytest.raises(ProblemError, match="listed twice"):
        problem_from_json(twice)
    with pytest.raises(ProblemError, match="cahs"):
        problem_from_json(document() | {"cahs": "1"})


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN}', '{"a": Infinity}', '{"a": 1, "a": 2}', "{", "", '{"a": 1} {"b": 2}', "[" * 100_000, b"\xff\xfe"],
)
def test_json_that_says_more_or_less_than_one_thing_is_refused(text):
    with pytest.raises(ProblemError):
        loads(text)


def test_numbers_without_quotes_are_read_exactly():
    read = problem_from_json(loads(json.dumps(document()).replace('"10.00"', "0.100000000001")))
    assert read.positions[0].price == D("0.100000000001")


def test_a_missing_or_zero_price_is_read_and_answered_with_the_security():
    for price, code in ((None, "MISSING_PRICE"), ("0", "ZERO_PRICE"), ("-3", "INVALID_PRICE")):
        written = solution_to_json(solve(problem_from_json(document(price=price))))
        assert written["status"] == "error"
        assert written["reasons"][0] | {"message": ""} == {
            "code": code,
            "security_id": "A",
            "message": "",
            "numbers": {},
        }


def test_options_that_are_left_out_have_their_defaults():
    short = document()
    del short["options"]
    for name in ("lot_size", "can_buy", "can_sell"):
        del short["positions"][0][name]
    assert problem_from_json(short) == problem_from_json(document())


@given(st.integers(min_value=0, max_value=10**9))
def test_every_problem_is_read_back_as_it_was_written(seed):
    stated = small(seed)
    assert problem_from_json(loads(json.dumps(problem_to_json(stated)))) == stated


def test_every_solution_is_read_back_as_it_was_written():
    for stated in (
        small(3),
        problem(100, position("A", "10.5", 4)),
        problem(1000, position("A", 0, 300, "0.1", "0.01"), nearest=True),
    ):
        solution = solve(stated)
        read = solution_from_json(json.loads(json.dumps(solution_to_json(solution, kept))))
        without_time = [
            replace(s, seconds=0.0, nearest=s.nearest and replace(s.nearest, seconds=0.0)) for s in (read, solution)
        ]
        assert without_time[0] == without_time[1]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_input_causes_anything_but_a_refusal(value):
    for wrong in (value, document(price=value), document(options=value), document(positions=value)):
        try:
            problem_from_json(wrong)
        except ProblemError:
            continue


@pytest.mark.parametrize(
    "cash", ["1e999999999999999999999", "1e-999999999999999999999", "-1e9999999", "1e400", "1e-400"]
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_number_with_an_exponent_of_any_size_is_refused_and_nothing_else_happens(cash, quote):
    with pytest.raises(ProblemError, match=r"out of range|not a finite decimal number"):
        problem_from_json(loads(f'{{"portfolio_id": "A", "positions": [], "cash": {quote}{cash}{quote}}}'))


@pytest.mark.parametrize("cash", ["NaN", "sNaN", "-Infinity"])
def test_a_decimal_that_is_no_number_is_refused_whoever_hands_it_over(cash):
    with pytest.raises(ProblemError, match="not a finite decimal number"):
        problem_from_json({"portfolio_id": "A", "positions": [], "cash": D(cash)})


def test_a_million_digits_in_quotes_are_refused_in_a_short_sentence():
    with pytest.raises(ProblemError, match="out of range") as refused:
        problem_from_json({"portfolio_id": "A", "positions": [], "cash": "9" * 1_000_000})
    assert len(str(refused.value)) < 150


def test_a_number_of_thousands_of_digits_is_refused_like_any_other_that_is_out_of_range():
    with pytest.raises(ProblemError, match="a number of 5,000 digits is out of range"):
        loads('{"cash": ' + "9" * 5000 + "}")
