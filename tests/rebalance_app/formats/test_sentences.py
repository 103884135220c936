"""Every reason has its sentence, made of its code, its numbers and what securities are called there."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.instances import alike, short_of_cash, small
from models_app.portfolio.types import Reason
from rebalance_app.formats.sentences import OPTIONS, SENTENCES, sentence
from rebalance_app.formats.solution_json import kept, solution_from_json, solution_to_json
from rebalance_app.optimiser.failures import GAVE_UP, NOT_RIGHT, OUT_OF_TIME, verify_failed
from rebalance_app.optimiser.solve import RELAXABLE, solve
from rebalance_app.solving.failures import DEFECT, SolverCrashedError, after_attempts, worker_died
from tests.rebalance_app.optimiser.build import D, position, problem

ROOT = Path(__file__).parents[3]


def test_every_code_has_a_sentence_and_every_sentence_a_code():
    sources = [path.read_text() for path in (ROOT / "rebalance_app").rglob("*.py")]
    made = {code for text in sources for code in re.findall(r'\bReason\(\s*"([A-Z_]+)"', text)}

    assert made | {OUT_OF_TIME, GAVE_UP, NOT_RIGHT, DEFECT} == {key.split()[0] for key in SENTENCES}


def test_whatever_may_be_relaxed_has_a_name():
    assert OPTIONS.keys() == set(RELAXABLE)


def test_securities_are_called_what_the_reader_calls_them():
    dear = problem(100, position("A", 0, 300, "0.1", "0.01"))
    short = problem(100, position("A", 20, 10, "0.5", "0.1"), position("B", 5, 10, "0.2", "0.1"), min_cash=D(5000))
    unpriced = problem(100, position("A", 1, None))

    def called(stated):
        return " ".join(sentence(reason, {"A": "ACME", "B": "BOLT"}.get) for reason in solve(stated).reasons)

    assert "One share of ACME is worth" in called(dear)
    assert "The largest trades this takes are in ACME, BOLT." in called(short)
    assert called(unpriced) == "ACME has no price: load one, or take the security out of the model."
    fault = sentence(verify_failed("A: outside its band"), {"A": "ACME"}.get)
    assert fault == "The answer failed its independent check: ACME: outside its band."


@pytest.mark.parametrize("make", [small, alike, short_of_cash])
def test_a_reason_that_comes_from_another_process_is_told_in_the_same_words(make):
    """What the solver's child sends holds no sentence, and all that one is made of."""
    for seed in range(120):
        solution = solve(make(seed))
        sent = json.dumps(solution_to_json(solution, kept))
        read = solution_from_json(json.loads(sent))

        assert "message" not in sent
        assert list(map(sentence, read.reasons)) == list(map(sentence, solution.reasons))
        assert read.reasons == solution.reasons


def test_a_code_with_two_sentences_tells_the_one_of_its_case():
    lost = after_attempts(SolverCrashedError("it closed its output"), 3, 30.0)

    assert sentence(lost) == "Solving this portfolio failed 3 times: it closed its output."
    assert sentence(worker_died(3)).startswith("Tried 3 times, and the last time its worker died.")


def test_an_unknown_code_is_no_empty_sentence():
    with pytest.raises(KeyError):
        sentence(Reason("NO_SUCH_CODE"))
