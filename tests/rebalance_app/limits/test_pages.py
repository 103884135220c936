"""The limits' pages: what is limited, by whom, and how to set it anew."""

import pytest

from rebalance_app.limits.services import limits_now, limits_set
from tests.markup import flat

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, manager, book):
    client.force_login(manager)
    return f"/limits/portfolio/{book.harbour.pk}/"


def test_limits_are_entered_in_per_cent_and_kept_as_fractions(client, page, book):
    sent = {"min_cash_weight": "2.5", "max_trades": "10", "hold": "on", "reason": "mandate"}
    answer = client.post(page, sent, follow=True)

    assert limits_now("portfolio", [book.harbour.pk])[book.harbour.pk] == {
        "hold": True, "min_cash_weight": "0.025", "max_trades": 10,
    }  # fmt: skip
    assert "cash at least 2.50" in answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")
    assert 'value="2.5"' in client.get(page).content.decode()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"gain_budget": "much", "reason": "x"}, "gain_budget"),
        ({"min_cash": "NaN", "reason": "x"}, "min_cash"),
        ({"min_cash_weight": "250", "reason": "x"}, "min_cash_weight"),
        ({"max_trades": "1.5", "reason": "x"}, "max_trades"),
        ({"min_cash": "1"}, "reason"),
        ({"min_cash": "9" * 30, "reason": "x"}, "min_cash"),
        ({"min_cash": "0.123456789", "reason": "x"}, "min_cash"),
        ({"max_turnover": "1.23456", "reason": "x"}, "max_turnover"),
        ({"max_turnover": "5000", "reason": "x"}, "max_turnover"),
        ({"min_cash": "500", "reason": "x\0"}, "reason"),
        ({"min_cash": "5\0", "reason": "x"}, "min_cash"),
    ],
)
def test_a_limit_that_makes_no_sense_stays_in_its_field(client, page, book, sent, told):
    answer = client.post(page, sent)

    assert answer.status_code == 422
    assert f'id="id_{told}_error"' in answer.content.decode()
    assert all(f'value="{value}"' in answer.content.decode() for value in sent.values())
    assert limits_now("portfolio", [book.harbour.pk]) == {}


def test_a_percentage_is_refused_in_per_cent(client, page):
    told = client.post(page, {"max_turnover": "150", "min_cash_weight": "-1", "reason": "x"}).content.decode()

    assert "Most turnover, %: Must be between 0 and 100 %." in told
    assert "Cash floor, %: Must be between 0 and 100 %." in told


def test_a_limit_is_shown_to_its_last_decimal(client, page):
    sent = {"min_cash": "0.1234", "max_turnover": "1.3551", "reason": "x"}
    shown = client.post(page, sent, follow=True).content.decode().replace("\N{NO-BREAK SPACE}", " ")

    assert "cash at least 0.1234" in shown
    assert "turnover at most 1.3551 %" in shown


def test_a_gain_budget_of_nothing_at_all_is_a_budget(client, page, book):
    answer = client.post(page, {"gain_budget": "0", "reason": "mandate"}, follow=True)

    assert limits_now("portfolio", [book.harbour.pk])[book.harbour.pk] == {"gain_budget": "0"}
    assert "realised gain at most 0.00" in answer.content.decode()


def test_a_box_says_what_may_not_be_done(client, page, book):
    client.post(f"/limits/security/{book.aaa.pk}/", {"no_buy": "on", "lot_size": "10", "reason": "restricted"})

    assert limits_now("security", [book.aaa.pk])[book.aaa.pk] == {"can_buy": False, "lot_size": 10}
    assert "not to be bought" in client.get("/limits/").content.decode()


def test_an_empty_form_lifts_all_limits_and_the_history_stays(client, page, manager, book):
    limits_set(by=manager, scope="portfolio", subject_id=book.harbour.pk, values={"hold": True}, reason="estate")
    client.post(page, {"reason": "settled"})
    text = client.get(page).content.decode()

    assert limits_now("portfolio", [book.harbour.pk]) == {}
    assert "estate" in text
    assert "settled" in text


@pytest.mark.parametrize("path", ["/limits/portfolio/none/", "/limits/firm/x/", "/limits/model/" + "f" * 24 + "/"])
def test_limits_of_nothing_are_not_found(client, page, path):
    assert client.get(path).status_code == 404


def test_who_may_not_edit_reads_and_cannot_set(client, page, viewer, book):
    client.force_login(viewer)

    assert "Set limits" not in client.get(page).content.decode()
    assert client.post(page, {"hold": "on", "reason": "x"}).status_code == 403
    assert limits_now("portfolio", [book.harbour.pk]) == {}


def test_what_is_not_limited_yet_is_found_by_its_name(client, page, book):
    for sought, path in (
        ("harb", page),
        ("grow", f"/limits/model/{book.model.pk}/"),
        ("aaa", f"/limits/security/{book.aaa.pk}/"),
    ):
        assert f'href="{path}"' in client.get("/limits/", {"q": sought}).content.decode()
    assert "Nothing is called so" in client.get("/limits/", {"q": "<script>"}).content.decode()


# The limits that stand are seen where runs are launched and where people look before


@pytest.fixture
def standing(client, manager, book):
    """Gives a reader of pages, as words, after limits of every kind were set."""
    client.force_login(manager)
    for scope, subject, values in (
        ("model", book.model, {"min_cash": "500.5", "max_turnover": "0.1"}),
        ("portfolio", book.harbour, {"min_cash": "700", "hold": True}),
        ("security", book.aaa, {"lot_size": 100}),
        ("security", book.xxx, {"can_sell": False}),
    ):
        limits_set(by=manager, scope=scope, subject_id=subject.pk, values=values, reason="mandate")
    return lambda path: flat(client.get(path).content.decode())


def test_the_launch_page_shows_the_limits_that_stand_and_in_empty_fields_their_values(standing, book):
    page = standing(f"/rebalances/new?model={book.model.pk}")

    assert "cash at least 500.50" in page
    assert "1 with limits of its own" in page
    assert "AAA lots of 100" in page
    assert 'placeholder="500.5 (model)"' in page
    assert 'placeholder="10 (model)"' in page


def test_the_page_of_a_model_shows_its_limits_and_how_many_of_what_is_in_it_have_their_own(standing, book):
    page = standing(f"/models/{book.model.pk}/")

    assert "turnover at most 10.00 %" in page
    assert "1 with limits of its own" in page
    assert f'href="/limits/security/{book.aaa.pk}/"' in page


def test_the_page_of_a_portfolio_shows_what_holds_and_whose_it_is(standing, book):
    page = standing(f"/portfolios/{book.harbour.pk}/")

    assert 'cash at least 700.00<span class="muted">(portfolio)</span>' in page
    assert 'turnover at most 10.00 %<span class="muted">(model)</span>' in page
    assert "XXX not to be sold" in page
    assert "AAA lots of 100" in page


def test_where_nothing_is_limited_the_pages_say_none(client, page, book):
    for path in (f"/rebalances/new?model={book.model.pk}", f"/models/{book.model.pk}/", f"/portfolios/{book.tiny.pk}/"):
        told = flat(client.get(path).content.decode())
        assert '<h2 id="standing">Limits in force</h2><span class="muted">none</span>' in told
