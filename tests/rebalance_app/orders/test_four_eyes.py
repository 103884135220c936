"""Nobody approves what they launched, whichever door they launched through and whichever they approve through."""

import json

import pytest

from ordergen.accounts.keys import SCOPES, create_api_key
from rebalance_app.models import Decision, Order, Rebalance
from rebalance_app.runs.launch import run_launch

pytestmark = pytest.mark.django_db


def _key(user):
    return create_api_key(user=user, name="mine", scopes=list(SCOPES), days=1)[1]


def _send(client, path, body, **headers):
    return client.post(path, json.dumps(body), content_type="application/json", headers=headers)


def _launch_here(client, user, book):
    run_launch(by=user, model_id=book.model.pk)


def _launch_by_v1(client, user, book):
    path = f"/api/v1/model/{book.model.pk}/rebalance"
    assert client.post(path, headers={"X-API-Key": _key(user), "Prefer": "respond-async"}).status_code == 202


def _launch_by_v2(client, user, book):
    headers = {"Authorization": f"Bearer {_key(user)}"}
    assert _send(client, "/api/v2/runs", {"model_id": book.model.pk}, **headers).status_code == 202


def _approve_on_the_page(client, user, run):
    client.force_login(user)
    ids = [order.pk for order in run.orders.all()]
    return client.post("/orders/decision", {"verdict": "approved", "order": ids})


def _approve_the_run_on_the_page(client, user, run):
    client.force_login(user)
    return client.post("/orders/decision", {"verdict": "approved", "run": run.pk, "expected": run.n_orders})


def _approve_by_session(client, user, run):
    client.force_login(user)
    ids = [order.pk for order in run.orders.all()]
    return _send(client, "/api/v2/orders/decisions", {"order_ids": ids, "verdict": "approved"})


def _approve_by_key(client, user, run):
    ids = [order.pk for order in run.orders.all()]
    body = {"order_ids": ids, "verdict": "approved"}
    return _send(client, "/api/v2/orders/decisions", body, **{"X-API-Key": _key(user)})


def _approve_the_run_by_key(client, user, run):
    body = {"verdict": "approved", "expected_count": run.n_orders}
    return _send(client, f"/api/v2/runs/{run.pk}/decisions", body, Authorization=f"Bearer {_key(user)}")


LAUNCHES = [_launch_here, _launch_by_v1, _launch_by_v2]
APPROVALS = [
    _approve_on_the_page,
    _approve_the_run_on_the_page,
    _approve_by_session,
    _approve_by_key,
    _approve_the_run_by_key,
]


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("approve", APPROVALS)
def test_who_launched_approves_through_no_door_and_somebody_else_through_each(
    client, book, person, run_worker, launch, approve
):
    both = person("manager", "approver", "admin", name="both")
    both.is_superuser = both.is_staff = True
    both.save()
    launch(client, both, book)
    run = run_worker(Rebalance.objects.get())
    answer = approve(client, both, run)

    assert answer.status_code in (200, 302)
    assert not Decision.objects.exists()
    assert not Order.objects.exclude(state="proposed").exists()

    client.logout()
    approve(client, person("approver", name="ann"), run)
    assert Decision.objects.filter(decided_by__username="ann").count() == run.n_orders > 0


@pytest.mark.parametrize("approve", [_approve_by_key, _approve_the_run_by_key])
def test_whoever_holds_a_key_acts_and_is_recorded_as_its_owner(client, book, manager, person, run_worker, approve):
    run_launch(by=manager, model_id=book.model.pk)
    run = run_worker(Rebalance.objects.get())
    approve(client, person("approver", name="tom"), run)

    assert set(Decision.objects.values_list("decided_by__username", flat=True)) == {"tom"}


@pytest.mark.parametrize("scopes", [["rebalances:read"], ["rebalances:write"], ["models:write", "book:read"]])
def test_a_key_without_the_scope_decides_nothing(client, book, manager, approver, run_worker, scopes):
    run_launch(by=manager, model_id=book.model.pk)
    run = run_worker(Rebalance.objects.get())
    key = create_api_key(user=approver, name="narrow", scopes=scopes, days=1)[1]
    body = {"verdict": "approved", "expected_count": run.n_orders}

    assert _send(client, f"/api/v2/runs/{run.pk}/decisions", body, **{"X-API-Key": key}).status_code == 403
    assert not Decision.objects.exists()


def test_a_person_who_was_sent_away_decides_nothing_with_an_old_key(client, book, manager, approver, run_worker):
    run_launch(by=manager, model_id=book.model.pk)
    run = run_worker(Rebalance.objects.get())
    key = _key(approver)
    approver.is_active = False
    approver.save()
    body = {"verdict": "approved", "expected_count": run.n_orders}

    assert _send(client, f"/api/v2/runs/{run.pk}/decisions", body, **{"X-API-Key": key}).status_code == 401
    assert not Decision.objects.exists()
