"""Of two changes to one version, what follows by itself and what a person has to decide."""

from dataclasses import replace

from models_app.investment_models.merge import Merge
from tests.builders import draft, position

A, B, C, D = ("A" * 24, "B" * 24, "C" * 24, "D" * 24)
P, Q, R = ("a" * 24, "b" * 24, "c" * 24)
BASE = draft(position(A), position(B), position(C), portfolios=(P, Q))


def ids(given):
    return [p.security_id for p in given.positions]


def test_changes_to_different_securities_follow_by_themselves():
    theirs = replace(BASE, positions=(position(A, "0.10"), position(B), position(C)))
    mine = replace(BASE, positions=(position(A), position(B, "0.20"), position(C)))
    merge = Merge(BASE, theirs, mine)
    assert merge.open == []
    assert merge.result.positions == (position(A, "0.10"), position(B, "0.20"), position(C))


def test_what_one_side_adds_and_the_other_removes_is_added_and_removed():
    theirs = replace(BASE, positions=(position(A), position(B)))
    mine = replace(BASE, positions=(position(A), position(B), position(C), position(D)))
    assert ids(Merge(BASE, theirs, mine).result) == [A, B, D]


def test_the_same_change_on_both_sides_is_no_conflict():
    same = replace(BASE, positions=(position(A, "0.10"), position(B), position(C)))
    assert Merge(BASE, same, same).open == []


def test_different_changes_to_one_security_need_a_choice():
    theirs = replace(BASE, positions=(position(A, "0.10"), position(B), position(C)))
    mine = replace(BASE, positions=(position(A, "0.15"), position(B), position(C)))
    assert Merge(BASE, theirs, mine).open == [A]
    assert Merge(BASE, theirs, mine, {A: "mine"}).result.positions[0] == position(A, "0.15")
    assert Merge(BASE, theirs, mine, {A: "theirs"}).result.positions[0] == position(A, "0.10")


def test_removing_what_the_other_changed_needs_a_choice():
    theirs = replace(BASE, positions=(position(B), position(C)))
    mine = replace(BASE, positions=(position(A, "0.15"), position(B), position(C)))
    assert Merge(BASE, theirs, mine).open == [A]
    assert A not in ids(Merge(BASE, theirs, mine, {A: "theirs"}).result)
    assert A in ids(Merge(BASE, theirs, mine, {A: "mine"}).result)


def test_two_new_names_need_a_choice_and_one_new_name_does_not():
    assert Merge(BASE, replace(BASE, name="Theirs"), BASE).result.name == "Theirs"
    both = Merge(BASE, replace(BASE, name="Theirs"), replace(BASE, name="Mine"))
    assert both.open == ["name"]
    assert replace(both, choices={"name": "mine"}).result.name == "Mine"


def test_portfolios_of_both_sides_are_added_and_removed():
    theirs, mine = replace(BASE, portfolios=(Q,)), replace(BASE, portfolios=(P, Q, R))
    assert Merge(BASE, theirs, mine).result.portfolios == (Q, R)
