"""Approved orders leave once, sells first, and what left can be had again as it was."""

import csv
import hashlib
import io
import json

import pytest
import simplefix

from ordergen.audit.models import AuditEvent
from ordergen.core.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from ordergen.ops.cli import main
from ordergen.ops.verify import verify_all
from rebalance_app.closing.services import Closing, orders_close
from rebalance_app.models import Batch, BatchOrder, Order
from rebalance_app.orders.decide import order_decide
from rebalance_app.runs.launch import run_launch
from rebalance_app.sending import services
from rebalance_app.sending.services import batch_file, batch_make
from tests.builders import price_now
from tests.markup import words

pytestmark = pytest.mark.django_db
JSON = "application/json"


def leave(by, *order_ids, layout="orders"):
    return batch_make(by=by, order_ids=list(order_ids), layout=layout)


def text(batch):
    return "".join(batch_file(batch))


def rows(batch):
    return list(csv.DictReader(io.StringIO(text(batch))))


def states():
    return dict(Order.objects.values_list("ticker", "state"))


def test_approved_orders_leave_together_sells_first_and_it_is_recorded(approved, approver):
    made = leave(approver, *approved.buys, approved.sale)

    batch = made.batch
    assert (made.n_decided, made.n_skipped, batch.number, batch.n_orders) == (3, 0, 1, 3)
    assert [(r["side"], r["ticker"], r["quantity"]) for r in rows(batch)] == [
        ("SELL", "KELP", "550"), ("BUY", "MOSS", "50"), ("BUY", "RUNE", "1500"),
    ]  # fmt: skip
    assert {r["order_id"] for r in rows(batch)} == {approved.sale, *approved.buys}
    assert set(states().values()) == {"exported"}
    event = AuditEvent.objects.get(action="batch.exported")
    assert event.detail["runs"] == {approved.run.pk: [r["order_id"] for r in rows(batch)]}
    assert event.detail["sha256"] == batch.sha256 == hashlib.sha256(text(batch).encode()).hexdigest()
    assert verify_all()["violations"] == 0


def test_nothing_leaves_twice(approved, approver):
    leave(approver, approved.sale)
    again = leave(approver, approved.sale, *approved.buys)

    assert dict(again.skipped) == {approved.sale: "It is exported already."}
    assert again.batch.n_orders == 2
    assert leave(approver, approved.sale).batch is None
    assert BatchOrder.objects.filter(order=approved.sale).count() == 1


def test_what_somebody_moved_meanwhile_leaves_nothing(approved, approver, monkeypatch):
    """Another approver takes one of the orders back between the reading and the writing."""
    move = services.orders_move

    def after_another(*args, **kwargs):
        Order.objects.filter(pk=approved.sale).update(state="rejected")
        move(*args, **kwargs)

    monkeypatch.setattr(services, "orders_move", after_another)
    with pytest.raises(ConflictError):
        leave(approver, approved.sale, *approved.buys)
    assert not Batch.objects.exists()


def test_what_is_not_approved_does_not_leave(proposal, approver):
    order_decide(by=approver, order_ids=[proposal.sale], verdict="approved")
    made = leave(approver, proposal.sale, *proposal.buys)
    assert made.n_decided == 1
    assert set(dict(made.skipped).values()) == {"It is proposed already."}


def test_an_order_whose_price_moved_too_far_since_its_approval_stays(approved, fell, approver):
    price_now(fell.moss, "240")
    made = leave(approver, approved.sale, *approved.buys)
    assert made.n_decided == 2
    assert "MOSS costs 240" in made.skipped[0][1]
    assert states()["MOSS"] == "approved"


def test_who_is_no_approver_lets_nothing_leave(approved, manager):
    with pytest.raises(NotAllowedError):
        leave(manager, approved.sale)


@pytest.mark.parametrize(("ids", "layout"), [([], "orders"), (["f" * 24], "xml")])
def test_what_makes_no_sense_is_refused(approved, approver, ids, layout):
    with pytest.raises(InvalidInputError):
        batch_make(by=approver, order_ids=ids, layout=layout)
    with pytest.raises(NotFoundError):
        batch_make(by=approver, order_ids=["f" * 24], layout="orders")


def test_what_left_is_still_on_its_way_and_is_closed_as_any_other(approved, fell, manager, approver, run_worker):
    leave(approver, approved.sale, *approved.buys)
    assert run_worker(run_launch(by=manager, model_id=fell.model.pk)).n_orders == 0
    closed = orders_close(by=approver, closings=[Closing(approved.sale, "closed", 550)], reason="filled")
    assert closed.n_decided == 1
    assert rows(Batch.objects.get())[0]["order_id"] == approved.sale, "the file is as it was"
    assert verify_all()["violations"] == 0


def test_the_layout_of_brokers_has_account_type_and_time_and_leaves_empty_what_is_not_known(approved, approver):
    batch = leave(approver, approved.sale, layout="broker").batch
    assert rows(batch) == [
        {
            "client_order_id": approved.sale, "account": "Fell", "symbol": "KELP", "isin": "", "currency": "",
            "side": "SELL", "quantity": "550", "order_type": "MARKET", "time_in_force": "DAY",
        }
    ]  # fmt: skip


def test_fix_messages_can_be_read_by_a_parser_and_hold_what_was_approved(approved, approver):
    batch = leave(approver, approved.sale, approved.buys[0], layout="fix44").batch
    parser = simplefix.FixParser()
    found = []
    for line in text(batch).splitlines():
        parser.append_buffer(line.encode())
        message = parser.get_message()
        assert message is not None
        found.append(tuple(message.get(tag).decode() for tag in (8, 35, 11, 55, 54, 38, 40, 59)))
    assert found == [
        ("FIX.4.4", "D", approved.sale, "KELP", "2", "550", "1", "0"),
        ("FIX.4.4", "D", approved.buys[0], "RUNE", "1", "1500", "1", "0"),
    ]


def test_a_batch_whose_orders_were_changed_by_hand_is_found(approved, approver):
    leave(approver, approved.sale)
    Order.objects.filter(pk=approved.sale).update(ticker="MOSS")
    assert any(fault.startswith("batches_are_as_recorded") for fault in verify_all()["faults"])


# The doors.


def test_the_page_restates_what_would_leave_and_its_file_is_fetched_with_a_record(as_approver, approved):
    chosen = {"order": [approved.sale, *approved.buys]}
    asked = as_approver.post("/batches/new", chosen)
    assert "Export 3 orders?" in words(asked)
    assert set(states().values()) == {"approved"}

    page = as_approver.post("/batches/new", chosen | {"layout": "orders"}, follow=True)
    assert "Batch #1" in words(page)
    batch = Batch.objects.get()
    file = as_approver.post(f"/batches/{batch.pk}/file")
    assert b"".join(file.streaming_content).decode() == text(batch)
    assert AuditEvent.objects.filter(action="batch.fetched").count() == 1
    assert "#1" in words(as_approver.get("/batches/"))


def test_all_approved_orders_of_a_run_leave_at_once(as_approver, approved):
    page = as_approver.post("/batches/new", {"run": approved.run.pk, "whole_run": "1", "layout": "fix44"}, follow=True)
    assert "3 orders left." in words(page)


def test_who_is_no_approver_has_no_button_and_no_file(as_manager, approved, approver):
    batch = leave(approver, approved.sale).batch
    assert "Download" not in words(as_manager.get(f"/batches/{batch.pk}/"))
    assert as_manager.post(f"/batches/{batch.pk}/file").status_code == 403
    assert as_manager.post("/batches/new", {"order": approved.buys, "layout": "orders"}).status_code == 403


def test_a_program_makes_a_batch_and_fetches_it(as_approver, approved):
    made = as_approver.post("/api/v2/batches", json.dumps({"run_id": approved.run.pk}), content_type=JSON)
    assert (made.status_code, made.json()["n_decided"]) == (201, 3)
    key = made.json()["batch"]["id"]
    assert as_approver.get(f"/api/v2/batches/{key}").json()["n_orders"] == 3
    assert [one["id"] for one in as_approver.get("/api/v2/batches").json()["items"]] == [key]
    file = as_approver.post(f"/api/v2/batches/{key}/file")
    assert b"".join(file.streaming_content).decode() == text(Batch.objects.get())
    both = as_approver.post("/api/v2/batches", "{}", content_type=JSON)
    assert (both.status_code, both.json()["errors"][0]["field"]) == (422, "order_ids")


def test_the_command_line_exports_once_and_gives_the_file_again(approved, tmp_path, capsys):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    assert main(["orders", "export", "--run", "1", "-o", str(first)]) == 0
    assert main(["orders", "export", "--run", "1"]) == 1
    assert "has no approved orders that have not left" in capsys.readouterr().err
    assert main(["orders", "export", "--again", "1", "-o", str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()
