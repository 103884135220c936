"""A holding as an order remembers it: every digit, in one spelling, whichever way it was written."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Sum

from ordergen.core.db import bulk_insert, bulk_update
from ordergen.core.ids import object_id
from rebalance_app.models import Order, OrderState
from rebalance_app.proposals.document import ORDER_FIELDS
from rebalance_app.runs.launch import run_launch

pytestmark = pytest.mark.django_db
LONGEST = "12345678901.0123456789"


@pytest.fixture
def order(book, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    return run.orders.order_by("pk").first()


def _by_save(order, quantity):
    order.quantity_before = quantity
    order.save()


def _by_update(order, quantity):
    Order.objects.filter(pk=order.pk).update(quantity_before=quantity)


def _by_bulk_update(order, quantity):
    order.quantity_before = quantity
    Order.objects.bulk_update([order], ["quantity_before"])


def _by_our_bulk_update(order, quantity):
    with transaction.atomic():
        bulk_update(Order, ("quantity_before",), [(order.pk, quantity)], {"state": OrderState.PROPOSED.value})


def _by_bulk_insert(order, quantity):
    columns = [Order._meta.get_field(name).attname for name in ORDER_FIELDS]
    row = [quantity if name == "quantity_before" else getattr(order, name) for name in columns]
    Order.objects.filter(pk=order.pk).delete()
    with transaction.atomic():
        bulk_insert(Order, ORDER_FIELDS, [row])


WAYS = [_by_save, _by_update, _by_our_bulk_update, _by_bulk_insert]
if connection.vendor != "mongodb":  # whose backend writes what it is given there past the field; the product does not
    WAYS.append(_by_bulk_update)


def _stored(order):
    """As the database has it, in text."""
    if connection.vendor == "mongodb":
        kept = connection.get_collection(Order._meta.db_table).find_one({"id": order.pk})["quantity_before"]
        assert type(kept).__name__ == "Decimal128"
        return str(kept)
    with connection.cursor() as cursor:
        cursor.execute("SELECT quantity_before FROM rebalance_app_order WHERE id = %s", [order.pk])
        return str(*cursor.fetchone())


@pytest.mark.parametrize("way", WAYS)
def test_a_quantity_comes_back_exactly_and_is_found_however_it_was_written(order, way):
    texts = (LONGEST, f"-{LONGEST}", "99999999999.9999999999", "0.0000000001", "100", "0", "-7.25")
    others = {
        Decimal("12.5000"): "12.5", Decimal("0.250000000000"): "0.25", Decimal("1E+3"): "1000", Decimal("-0.0"): "0",
        Decimal("70.0"): "70", 7: "7", -7: "-7", "8.10": "8.1",
    }  # fmt: skip
    for given, text in ({Decimal(text): text for text in texts} | others).items():
        way(order, given)
        found = Order.objects.filter(pk=order.pk)

        assert f"{found.get().quantity_before:f}" == f"{found.values_list('quantity_before').get()[0]:f}" == text
        assert found.filter(quantity_before=given).exists()
        assert found.filter(quantity_before__in=[Decimal(f"{text}.000" if "." not in text else text)]).exists()
        assert not found.exclude(quantity_before=Decimal(text)).exists()
        assert connection.vendor != "sqlite" or _stored(order) == text


@pytest.mark.parametrize("way", WAYS)
def test_what_a_quantity_cannot_hold_is_refused_and_never_rounded(order, way):
    wrong = {"must be a decimal number": (*map(Decimal, ("NaN", "sNaN", "Infinity", "-Infinity")), "half", 0.5)}
    digits = ("1E+11", "1E-11", "0.12345678901", "1E+999999", "1E-999999", "12345678901.01234567891")
    wrong["more than quantity_before holds exactly"] = (*map(Decimal, digits), *digits, 10**11, -(10**11))
    before = _stored(order)
    for why, given in ((why, given) for why, some in wrong.items() for given in some):
        with pytest.raises(ValidationError, match=why), transaction.atomic():
            way(order, given)
    assert _stored(order) == before


@pytest.mark.parametrize(("quantity", "sign"), [("-0.5", -1), ("-12", -1), ("0", 0), ("0.0000000001", 1), ("9", 1)])
def test_the_sign_of_a_quantity_can_be_asked_for_in_a_query(order, quantity, sign):
    _by_save(order, Decimal(quantity))

    assert Order.objects.filter(pk=order.pk, quantity_before__gt=0).exists() == (sign > 0)
    assert Order.objects.filter(pk=order.pk, quantity_before__gte=0).exists() == (sign >= 0)
    assert Order.objects.filter(pk=order.pk, quantity_before__lt=0).exists() == (sign < 0)
    assert Order.objects.filter(pk=order.pk, quantity_before__lte=0).exists() == (sign <= 0)


def test_the_column_itself_rounds_nothing_and_is_never_rewritten_for_more_digits():
    column = Order._meta.get_field("quantity_before")

    assert column.db_type(connection) == {
        "sqlite": "text", "postgresql": "numeric", "mongodb": "decimal",
    }[connection.vendor]  # fmt: skip


def test_a_sum_is_exact_or_refused(order):
    _by_save(order, Decimal(LONGEST))
    orders = Order.objects.filter(pk=order.pk)

    if connection.vendor == "sqlite":
        with pytest.raises(TypeError, match="in Python"):
            orders.aggregate(Sum("quantity_before"))
    else:
        assert orders.aggregate(sum=Sum("quantity_before")) == {"sum": Decimal(LONGEST)}


@pytest.mark.skipif(connection.vendor == "mongodb", reason="no release before was on MongoDB")
@pytest.mark.django_db(transaction=True)
def test_orders_of_before_keep_what_they_had_in_the_one_spelling(order):
    """Reals, as SQLite kept them, and numerics of four decimals become what they always meant."""
    had = {
        "12.5000": "12.5", "100.0000": "100", "-0.0001": "-0.0001", "0.1000": "0.1", "-7.2500": "-7.25",
        "99999999999.9999": "99999999999.9999", "12345678901.1235": "12345678901.1235", "0": "0", "1234.56": "1234.56",
    }  # fmt: skip
    if connection.vendor == "sqlite":  # which kept more than it showed, as far as a double goes
        had |= {"12.34567891": "12.34567891", "0.00000012": "0.00000012", "1e-12": "0"}
    call_command("migrate", "rebalance_app", "0005", verbosity=0)
    try:
        with connection.cursor() as cursor:
            described = connection.introspection.get_table_description(cursor, Order._meta.db_table)
            columns = [column.name for column in described]
            kept = ", ".join(c for c in columns if c not in ("id", "security_id", "quantity_before"))
            for quantity in had:
                cursor.execute(
                    f"INSERT INTO rebalance_app_order (id, security_id, quantity_before, {kept})"
                    f" SELECT %s, %s, {quantity}, {kept} FROM rebalance_app_order WHERE id = %s",
                    [object_id(), quantity, order.pk],
                )
    finally:
        call_command("migrate", "rebalance_app", verbosity=0)

    migrated = Order.objects.filter(security_id__in=had)
    assert {o.security_id: f"{o.quantity_before:f}" for o in migrated} == had
    assert all(Order.objects.filter(security_id=q, quantity_before=Decimal(text)).exists() for q, text in had.items())
