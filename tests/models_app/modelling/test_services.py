"""Saving models: who may, what is recorded, and that of two editors one wins."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import pytest

from models_app.investment_models import selectors
from models_app.modelling import services
from models_app.models import InvestmentModel, ModelPortfolio, ModelPosition, ModelVersion
from ordergen.audit.models import AuditEvent
from ordergen.audit.services import first_broken_link
from ordergen.core.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from ordergen.core.ids import object_id
from tests.builders import draft, person, position

A, B, C = ("A" * 24, "B" * 24, "C" * 24)
P, Q = ("a" * 24, "b" * 24)


@pytest.fixture
def manager(db):
    return person("maya", "manager")


@pytest.fixture
def model(manager):
    return services.model_create(draft=draft(position(A), position(B, "0.10")), by=manager, reason="Start")


def saved(model):
    return selectors.model_draft(selectors.model_get(model.pk))


def test_a_new_model_has_version_1_and_keeps_its_rows_in_order(model):
    assert model.version == 1
    assert [p.security_id for p in saved(model).positions] == [A, B]


def test_saving_records_who_why_and_what_in_versions_and_in_the_audit_trail(model, manager):
    changed = replace(saved(model), positions=(position(A, "0.055"), position(C)))
    services.model_update(model_id=model.pk, version=1, draft=changed, by=manager, reason="More A, C for B")
    newest = ModelVersion.objects.get(model_id=model.pk, version=2)
    assert (newest.saved_by, newest.reason) == (manager, "More A, C for B")
    assert newest.content["positions"][0] == {
        "security_id": A, "target": "0.055", "low_drift": "0.01", "high_drift": "0.02",
    }  # fmt: skip
    event = AuditEvent.objects.first()
    assert (event.action, event.actor, event.object_id) == ("model.update", "maya", model.pk)
    assert event.summary == "Growth v2: 3 positions changed (More A, C for B)"
    assert [change["id"] for change in event.detail["changes"]] == [A, C, B]
    assert first_broken_link() is None


def test_a_zero_target_is_dropped_on_save(manager):
    model = services.model_create(draft=draft(position(A), position(B, "0")), by=manager)
    assert [p.security_id for p in saved(model).positions] == [A]


def test_a_draft_that_breaks_a_rule_changes_nothing(model, manager):
    with pytest.raises(InvalidInputError):
        services.model_update(model_id=model.pk, version=1, draft=draft(position(A, "0.123")), by=manager)
    assert selectors.model_get(model.pk).version == 1
    assert AuditEvent.objects.count() == 1


def test_an_overlong_reason_is_refused_and_changes_nothing(model, manager):
    with pytest.raises(InvalidInputError) as caught:
        services.model_update(model_id=model.pk, version=1, draft=saved(model), by=manager, reason="x" * 501)
    assert list(caught.value.fields) == ["reason"]
    assert selectors.model_get(model.pk).version == 1


@pytest.mark.parametrize("role", ["viewer", "approver", "auditor", "admin"])
def test_only_a_portfolio_manager_changes_models(model, role):
    other = person("other", role)
    for attempt in (
        lambda: services.model_create(draft=draft(name="New"), by=other),
        lambda: services.model_update(model_id=model.pk, version=1, draft=draft(), by=other),
        lambda: services.model_delete(model_id=model.pk, version=1, by=other),
        lambda: services.model_position_add(model_id=model.pk, position=position(C), by=other),
        lambda: services.model_portfolios_remove(model_id=model.pk, portfolio_ids=[P], by=other),
    ):
        with pytest.raises(NotAllowedError, match="portfolio manager"):
            attempt()
    assert InvestmentModel.objects.get().version == 1


def test_a_stale_version_is_refused_saying_who_saved_which_version(model, manager):
    services.model_update(model_id=model.pk, version=1, draft=saved(model), by=manager)
    with pytest.raises(ConflictError, match=r"since version 1: it is now at version 2, saved by maya on .* UTC"):
        services.model_update(model_id=model.pk, version=1, draft=draft(name="Mine"), by=manager)
    assert saved(model).name == "Growth"


@pytest.mark.parametrize("version", [0, -1, 2, 99])
def test_a_version_that_never_was_is_as_stale(model, manager, version):
    with pytest.raises(ConflictError):
        services.model_update(model_id=model.pk, version=version, draft=saved(model), by=manager)


def test_an_unknown_model_is_not_found(manager):
    with pytest.raises(NotFoundError):
        services.model_update(model_id="f" * 24, version=1, draft=draft(), by=manager)


def test_a_name_that_is_taken_is_refused_at_the_name(model, manager):
    with pytest.raises(ConflictError) as caught:
        services.model_create(draft=draft(name="Growth"), by=manager)
    assert list(caught.value.fields) == ["name"]
    other = services.model_create(draft=draft(name="Income"), by=manager)
    with pytest.raises(ConflictError):
        services.model_update(model_id=other.pk, version=1, draft=draft(name="Growth"), by=manager)
    assert selectors.model_get(other.pk).version == 1


def test_a_name_taken_between_the_look_and_the_write_is_a_conflict_all_the_same(model, manager, monkeypatch):
    monkeypatch.setattr(services, "_refuse_taken_name", lambda *_args, **_names: None)
    with pytest.raises(ConflictError) as caught:
        services.model_create(draft=draft(name="Growth"), by=manager)
    assert list(caught.value.fields) == ["name"]


def test_deleting_keeps_the_history_and_says_so_in_the_audit_trail(model, manager):
    services.model_delete(model_id=model.pk, version=1, by=manager, reason="Merged")
    assert not InvestmentModel.objects.exists()
    assert not ModelPosition.objects.exists()
    assert not ModelPortfolio.objects.exists()
    assert ModelVersion.objects.filter(model_id=model.pk).count() == 1
    assert AuditEvent.objects.first().summary == "Deleted model Growth, last version 1 (Merged)"


def test_deleting_a_stale_version_is_refused(model, manager):
    with pytest.raises(ConflictError):
        services.model_delete(model_id=model.pk, version=2, by=manager)
    assert InvestmentModel.objects.count() == 1


def test_a_position_can_be_added_changed_and_removed(model, manager):
    services.model_position_add(model_id=model.pk, position=position(C, "0.20"), by=manager)
    services.model_position_update(model_id=model.pk, position=position(A, "0.15"), by=manager)
    after = services.model_position_delete(model_id=model.pk, position=position(B, "0.1000"), by=manager)
    assert [(p.security_id, p.target) for p in saved(model).positions] == [(A, Decimal("0.15")), (C, Decimal("0.2"))]
    assert after.version == 4


def test_adding_a_security_twice_is_refused(model, manager):
    with pytest.raises(InvalidInputError) as caught:
        services.model_position_add(model_id=model.pk, position=position(A), by=manager)
    assert list(caught.value.fields) == ["security_id"]


def test_adding_with_a_zero_target_is_accepted_and_stores_nothing(model, manager):
    after = services.model_position_add(model_id=model.pk, position=position(C, "0"), by=manager)
    assert after.version == 1
    assert len(saved(model).positions) == 2


def test_changing_to_a_zero_target_removes_the_position(model, manager):
    services.model_position_update(model_id=model.pk, position=position(A, "0"), by=manager)
    assert [p.security_id for p in saved(model).positions] == [B]


def test_a_faulty_position_is_named_by_its_own_fields(model, manager):
    with pytest.raises(InvalidInputError) as caught:
        services.model_position_add(model_id=model.pk, position=position(C, "0.123", "0.03"), by=manager)
    assert set(caught.value.fields) == {"target", "low_drift"}


def test_a_position_that_would_break_the_sum_is_refused(model, manager):
    with pytest.raises(InvalidInputError) as caught:
        services.model_position_add(model_id=model.pk, position=position(C, "0.85"), by=manager)
    assert list(caught.value.fields) == ["positions"]


def test_changing_or_removing_a_security_the_model_does_not_have_is_refused(model, manager):
    for verb in (services.model_position_update, services.model_position_delete):
        with pytest.raises(InvalidInputError, match="is not in the model"):
            verb(model_id=model.pk, position=position(C), by=manager)


@pytest.mark.parametrize(("given", "field"), [
    (position(A, "0.055"), "target"), (position(A, low="0.02"), "low_drift"), (position(A, high="0.03"), "high_drift"),
])  # fmt: skip
def test_a_position_is_removed_only_when_every_value_agrees(model, manager, given, field):
    with pytest.raises(InvalidInputError) as caught:
        services.model_position_delete(model_id=model.pk, position=given, by=manager)
    assert list(caught.value.fields) == [field]
    assert len(saved(model).positions) == 2


def test_adding_a_portfolio_twice_and_removing_an_absent_one_pass_in_silence(model, manager):
    services.model_portfolios_add(model_id=model.pk, portfolio_ids=[P, Q], by=manager)
    same = services.model_portfolios_add(model_id=model.pk, portfolio_ids=[Q, P], by=manager)
    assert (same.version, saved(model).portfolios) == (2, (P, Q))
    after = services.model_portfolios_remove(model_id=model.pk, portfolio_ids=[P, "c" * 24], by=manager)
    assert (after.version, saved(model).portfolios) == (3, (Q,))


def test_the_last_portfolio_cannot_be_removed(model, manager):
    with pytest.raises(InvalidInputError, match="cannot be saved") as caught:
        services.model_portfolios_remove(model_id=model.pk, portfolio_ids=[P], by=manager)
    assert list(caught.value.fields) == ["portfolios"]


def test_a_verb_without_a_version_tries_again_when_another_writer_came_between(model, manager, monkeypatch):
    through, tries = services.model_update, []

    def late(**given):
        tries.append(given["version"])
        if len(tries) == 1:
            through(model_id=model.pk, version=1, draft=draft(position(A), position(B, "0.20")), by=manager)
        return through(**given)

    monkeypatch.setattr(services, "model_update", late)
    services.model_position_add(model_id=model.pk, position=position(C, "0.30"), by=manager)
    assert tries == [1, 2]
    assert [str(p.target) for p in saved(model).positions] == ["0.050", "0.200", "0.300"]


@pytest.mark.slow
def test_of_twenty_editors_in_four_processes_with_the_same_version_exactly_one_saves(tmp_path):
    own_database = {"ORDERGEN_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "ordergen.settings"}
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | own_database
    done = subprocess.run(
        [sys.executable, "-m", "tests.models_app.modelling.race"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert len(found["outcomes"]) == 20
    assert [name for name in found["outcomes"] if name] == [found["name"]]
    assert (found["version"], found["versions"], found["events"]) == (2, 2, 2)
    assert found["broken_link"] is None


def test_more_portfolios_than_a_statement_takes_parameters_are_asked_for_in_parts(db):
    """SQLite takes 32,766 parameters, PostgreSQL 65,535."""
    assert selectors.other_models(object_id() for _ in range(70_000)) == {}
