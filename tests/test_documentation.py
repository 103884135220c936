"""What the README promises to tell is told."""

import json
import re
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from models_app.portfolio.types import Options, Position, ProblemError, TaxLot
from ordergen.api import v2 as api_v2
from rebalance_app.formats.problem_json import loads
from rebalance_app.formats.sentences import SENTENCES
from rebalance_app.limits.services import NAMES
from rebalance_app.what_if.scenario_json import answer_line

ROOT = Path(__file__).parent.parent


def test_every_setting_of_the_environment_stands_in_the_readme():
    source = (ROOT / "ordergen/settings.py").read_text()
    names = set(re.findall(r"""(?:env(?:\.\w+)?|_service_url|_fraction)\(\s*"([A-Z][A-Z0-9_]+)\"""", source))
    readme = (ROOT / "README.md").read_text()

    assert len(names) > 30
    assert sorted(name for name in names if not re.search(rf"`[^`]*\b{name}\b", readme)) == []


def test_every_target_of_the_makefile_says_what_it_does():
    targets = re.findall(r"^([a-z][a-z-]*):(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert len(targets) > 5
    assert [name for name, rest in targets if "##" not in rest] == []


def page(name):
    """A page of Help as it is shown: where its lines break, and how they are indented, says nothing."""
    flowing = re.sub(r"\s+", " ", (ROOT / "templates/help" / name).read_text())
    return re.sub(r" ?(</?(?:tr|th|td|p|li)\b[^>]*>) ?", r"\1", flowing)


def table_rows(name):
    """By its first cell, the other cells of every row of a page's tables."""
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page(name))
    return {first: [cell for cell in re.findall(r"<td[^>]*>(.*?)</td>", cells) if cell] for first, cells in rows}


# The fields of a problem, as Help lists them, are those that the optimiser reads: names, defaults and what is refused.

NUMBERS, WHOLE = ["NaN", "much", True, ""], ["1", "1.5", True]
TYPES = {  # what must be taken, and what must be refused
    "text": ([], [1, True]),
    "list": ([], ["x", 1]),
    "object": ([{}], ["x", 1]),
    "decimal": (["-1.5", 2, "0.000000000001"], NUMBERS),
    "decimal, from 0": (["0", "1.5"], [*NUMBERS, "-1"]),
    "decimal, above 0": (["1.5"], [*NUMBERS, "0"]),
    "fraction": (["0", "1"], [*NUMBERS, "-0.1", "1.01"]),
    "whole number, from 0": ([0, 7], [*WHOLE, -1]),
    "whole number, from 1": ([1, 7], [*WHOLE, 0]),
    "true or false": ([True, False], ["true", 1, 0]),
    "day": (["2026-11-20"], ["20.11.2026", "2026-02-30", 1]),
}


def _example():
    text = (ROOT / "templates/help/examples/problem.sh").read_text()
    return loads(re.search(r"<<'END'[^\n]*\n(.*)END", text, re.DOTALL)[1])


def _listed():
    """By section and name of a field: its type, default, and whether it may be null."""
    parts = re.split(r'<h2 id="(\w+)">', page("problems.html"))
    row = r"<tr><th[^>]*><code>(\w+)</code></th><td>(.*?)</td><td>.*?</td><td>(?:<code>)?(.*?)(?:</code>)?</td>"
    return {
        section: {
            name: (kind.replace(" or null", ""), default, " or null" in kind)
            for name, kind, default in re.findall(row, text)
        }
        for section, text in zip(parts[1::2], parts[2::2], strict=True)
    }


LISTED = _listed()
RECORDS = {"position": Position, "lot": TaxLot, "options": Options}


def _refused(section, name, value):
    """Whether the example is refused at this field once it has this value there."""
    document = _example()
    inside = {
        "problem": document,
        "position": document["positions"][0],
        "lot": document["positions"][0]["lots"][0],
        "options": document["options"],
    }[section]
    inside[name] = value
    try:
        answer_line(document)
    except ProblemError as error:
        return error.field.endswith(name)
    return False


@pytest.mark.parametrize("section", RECORDS)
def test_help_lists_every_field_with_the_default_it_has(section):
    known = {f.name: f for f in fields(RECORDS[section])}

    assert LISTED[section].keys() == known.keys()
    for name, (_, shown, _) in LISTED[section].items():
        default = known[name].default
        if shown == "required":
            assert default is MISSING
        else:
            told = shown if name == "mode" else json.loads(shown)
            assert told == (list(default) if isinstance(default, tuple) else default)


@pytest.mark.parametrize(("section", "name"), [(section, name) for section in LISTED for name in LISTED[section]])
def test_help_gives_each_field_the_type_that_is_read(section, name):
    kind, _, may_be_null = LISTED[section][name]
    taken, refused = TYPES[kind]

    assert [value for value in taken if _refused(section, name, value)] == []
    assert [value for value in refused if not _refused(section, name, value)] == []
    assert _refused(section, name, None) == (not may_be_null)


def test_the_line_under_help_has_every_field_and_an_answer():
    document = _example()
    position, answer = document["positions"][0], answer_line(document)

    assert document.keys() == LISTED["problem"].keys()
    assert position.keys() == LISTED["position"].keys()
    assert position["lots"][0].keys() == LISTED["lot"].keys()
    assert document["options"].keys() == LISTED["options"].keys()
    assert [answer["status"], *(one["status"] for one in answer["scenarios"])] == ["optimal"] * 3


def test_help_lists_the_code_of_every_reason():
    told = set(re.findall(r"<code>([A-Z_]+)</code>", page("orders.html")))

    assert {key.split()[0] for key in SENTENCES} - told == set()


def test_the_ways_in_which_a_solver_or_a_worker_fails_have_their_codes_in_one_place_each():
    places = {ROOT / "rebalance_app" / room / "failures.py" for room in ("optimiser", "solving")}
    words = ROOT / "rebalance_app/formats/sentences.py"
    codes = {code for place in places for code in re.findall(r'"([A-Z_]{3,})"', place.read_text())}
    elsewhere = {
        path.name: found
        for name in ("ordergen", "models_app", "rebalance_app")
        for path in (ROOT / name).rglob("*.py")
        if path not in {*places, words} and (found := codes.intersection(re.findall(r'"([A-Z_]+)"', path.read_text())))
    }

    assert len(codes) == 10
    assert elsewhere == {}


def test_help_says_which_options_may_stand_as_limits():
    text = page("problems.html")
    (never,) = re.findall(r"Of a model: all options but (.*?)\.", text)

    assert LISTED["options"].keys() - set(re.findall(r"<code>(\w+)</code>", never)) == NAMES["model"]
    assert NAMES["portfolio"] - NAMES["model"] == {"hold"}
    assert NAMES["security"] == {"lot_size", "can_buy", "can_sell"}


def test_who_asks_for_the_fields_is_led_to_them():
    asked = [sys.executable, "-m", "ordergen.ops.cli", "solve", "--help"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    assert "/help/problems/" in told
    assert "/help/problems/#options" in json.dumps(api_v2.get_openapi_schema())


PEERS = ("rounded relaxation (the original)", "PyPortfolioOpt greedy", "PyPortfolioOpt LP")
COUPLED = {
    "100 securities, binding cash floor": "cash floor",
    "Cash floor that just binds": "cash floor, just binding",
    "Cash floor and smallest order": "cash floor, minimum trade",
    "Cash floor, smallest order and turnover": "cash floor, minimum trade, turnover",
    "The same at 10 million": "the same at 10 million",
    "500 securities, binding cash floor": "cash floor, 500 securities",
    "Cash floor after costs of 10 basis points": "cash floor after costs",
    "Gain budget over tax lots, often with other limits": "gain budget, often with other limits",
    "Any mixture of limits, 8 to 100 securities": "any mixture of limits",
}


def test_the_times_under_help_are_those_that_were_measured():
    measured, rows = json.loads((ROOT / "benchmarks/optimiser.json").read_text()), table_rows("orders.html")
    times = measured["coupled, 100 securities, CPU ms"]

    for name, case in COUPLED.items():
        case_times = [f"{times[case][column]:,.1f} ms" for column in ("median", "p90", "max")]
        assert rows[name] == [*case_times, f"{times[case]['first']} of {times[case]['solved']}"]
    arrays = measured["arrays, 10,000 x 100, ms"]
    assert rows["10,000 portfolios × 100 positions as arrays"] == [f"{arrays['median']:.1f} ms"]
    memory = measured["peak memory, MB"]
    told = f"Peak memory of a worker {memory['worker']} MB, of its solver {memory['solver child']} MB."
    assert told in page("orders.html")


def test_the_quality_under_help_is_what_was_measured():
    quality = json.loads((ROOT / "benchmarks/optimiser.json").read_text())["quality"]
    rows = table_rows("orders.html")

    for name in ("Answers where there is none", "Answers outside a band", "Answers below the cash floor"):
        key = name.removeprefix("Answers ").replace("where", "answers where")
        assert rows[name] == ["0", *(f"{quality[peer].get(key, 0):,}" for peer in PEERS)]
    equal = [str(quality[peer]["equal to the optimum"]) for peer in PEERS]
    assert rows["Equal to the optimum"] == [str(quality["ordergen"]["optimal"]), *equal]
    speeds = [f"{quality[method]['portfolios per CPU second']:,}" for method in ("ordergen", *PEERS)]
    assert rows["Portfolios per CPU second"] == speeds
    assert quality["ordergen"]["faults"] == 0
