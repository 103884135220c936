"""What the pages of runs and proposals promise to each role, with and without script."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from models_app.models import DriftFigures
from ordergen.audit.models import AuditEvent
from rebalance_app.models import Order, PortfolioRebalance, Rebalance
from rebalance_app.proposals.selectors import proposal_list
from rebalance_app.runs.launch import run_launch
from tests.builders import portfolio
from tests.markup import flat, hidden, words

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def waiting(book, manager):
    """A run that no worker has begun."""
    return run_launch(by=manager, model_id=book.model.pk)


def pages(run) -> list[str]:
    row, order = run.portfolios.first(), run.orders.first()
    return [
        "/rebalances/",
        f"/rebalances/{run.pk}/",
        f"/rebalances/{run.pk}/portfolios/{row.portfolio_id}/",
        "/orders/",
        f"/orders/{order.pk}/",
    ]


def test_everyone_with_a_role_reads_and_only_a_manager_is_offered_a_run(client, run, viewer):
    client.force_login(viewer)
    for address in pages(run):
        response = client.get(address)
        assert response.status_code == 200, address
        assert "/rebalances/new" not in response.content.decode()
    assert client.get("/rebalances/new").status_code == 403
    assert client.post(f"/rebalances/{run.pk}/cancel").status_code == 403


def test_strangers_sign_in_first_and_come_back(client, run):
    for address in [*pages(run), "/rebalances/new"]:
        response = client.get(address)
        assert (response.status_code, response["Location"]) == (302, f"/signin/?next={address}")


def test_a_person_without_a_role_reads_nothing(client, run, person):
    client.force_login(person())
    assert {client.get(address).status_code for address in pages(run)} == {403}


@pytest.mark.parametrize("address", ["/rebalances/nope/", "/rebalances/nope/portfolios/x/", "/orders/nope/"])
def test_an_unknown_id_is_a_page_that_says_so(as_manager, address):
    response = as_manager.get(address)
    assert response.status_code == 404
    assert "nope" in words(response)


STRANGE = ["before=x", "before=-1", "only=what", "run=x&side=UP&after=zzz", "tab=none"]


@pytest.mark.parametrize("query", STRANGE)
@pytest.mark.parametrize("address", ["/rebalances/", "/orders/"])
def test_a_list_is_never_an_error_whatever_its_address_says(as_manager, run, address, query):
    assert as_manager.get(f"{address}?{query}").status_code == 200


# Launch


def test_the_launch_page_says_what_is_to_be_expected_before_anything_starts(as_manager, book):
    text = words(as_manager.get(f"/rebalances/new?model={book.model.pk}"))
    assert "All 3 portfolios of Growth" in text
    assert "Breach" in text
    assert "prices up to 20 Nov 2026" in text
    assert "somebody other than you has to approve" in text


def test_a_model_with_one_portfolio_has_no_portfolios(as_manager, manager, book):
    book.model.portfolios.exclude(portfolio_id=book.harbour.pk).delete()

    assert "The only portfolio of Growth" in words(as_manager.get(f"/rebalances/new?model={book.model.pk}"))
    run_launch(by=manager, model_id=book.model.pk)
    assert AuditEvent.objects.get(action="rebalance.launched").summary == "Run #1 of Growth v1 over its only portfolio"


def test_the_launch_page_counts_who_follows_the_model_even_before_there_are_figures(as_manager, book):
    """The run takes every follower, so that is the number to confirm: never the number of figures that are there."""
    followers = book.model.portfolios.count()
    DriftFigures.objects.all().delete()
    page = as_manager.get(f"/rebalances/new?model={book.model.pk}&portfolio={book.harbour.pk}").content.decode()

    assert followers > 1
    assert f"All {followers} portfolios of {book.model.name}" in page
    assert "Only Harbour" in page


def test_the_launch_page_counts_the_portfolios_that_a_run_is_working_on(as_manager, book, manager):
    run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk])

    text = words(as_manager.get(f"/rebalances/new?model={book.model.pk}"))
    assert "1 of these portfolios is in a run that is still working" in text


def test_what_cannot_be_meant_is_told_at_its_field_and_stays_there(as_manager, book):
    address = f"/rebalances/new?model={book.model.pk}"
    key = hidden(as_manager.get(address), "idempotency_key")
    form = {"scope": "all", "mode": "to_target", "idempotency_key": key, "note": "half\0typed"}
    answer = as_manager.post(address, form | {"max_turnover": "150", "min_cash": "0.123456789", "cost_bps": "-1"})
    page = answer.content.decode()

    assert answer.status_code == 422
    assert all(f'id="id_{name}_error"' in page for name in ("note", "max_turnover", "min_cash", "cost_bps"))
    assert "Most turnover, %: Must be between 0 and 100 %." in page
    assert all(f'value="{value}"' in page for value in ("half\0typed", "150", "0.123456789", "-1"))
    assert not Rebalance.objects.exists()


def test_a_run_starts_once_however_often_its_button_is_pressed(as_manager, book):
    address = f"/rebalances/new?model={book.model.pk}"
    key = hidden(as_manager.get(address), "idempotency_key")
    form = {"scope": "all", "mode": "to_target", "idempotency_key": key, "note": "Quarter end", "max_turnover": "50"}
    answers = [as_manager.post(address, form) for _ in range(2)]

    run = Rebalance.objects.get()
    assert {answer["Location"] for answer in answers} == {f"/rebalances/{run.pk}/"}
    asked = {"mode": "to_target", "max_turnover": "0.5", "reserve_costs": False}  # a box that came without its tick
    assert run.options == asked | {"time_limit": run.options["time_limit"]}
    assert (run.note, run.n_portfolios) == ("Quarter end", 3)


def test_a_limit_of_zero_is_a_limit(as_manager, book):
    page = as_manager.get(f"/rebalances/new?portfolio={book.cash_only.pk}")
    form = {"scope": "one", "mode": "to_target", "idempotency_key": hidden(page, "idempotency_key")}
    as_manager.post(f"/rebalances/new?portfolio={book.cash_only.pk}", form | {"gain_budget": "0", "max_trades": "0"})

    options = Rebalance.objects.get().options
    assert (options["gain_budget"], options["max_trades"]) == ("0", 0)


def test_one_portfolio_can_be_rebalanced_alone(as_manager, book):
    address = f"/rebalances/new?portfolio={book.harbour.pk}"
    page = as_manager.get(address)
    as_manager.post(address, {"scope": "one", "mode": "to_target", "idempotency_key": hidden(page, "idempotency_key")})
    assert [row.portfolio_name for row in PortfolioRebalance.objects.all()] == ["Harbour"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("min_cash", "NaN", "Enter a number"),
        ("min_cash", "1e999", "digits"),
        ("max_turnover", "ten", "Enter a number"),
        ("max_trades", "-1", "out of range"),
        ("time_limit", "99999", "less than or equal to"),
        ("min_trade_value", "-1", "below 0"),
        ("mode", "sell_everything", "Select a valid choice"),
        ("scope", "others", "Select a valid choice"),
    ],
)
def test_a_bad_option_is_told_at_its_field_and_starts_nothing(as_manager, book, field, value, message):
    form = {"scope": "all", "mode": "to_target", "idempotency_key": "k", field: value}
    response = as_manager.post(f"/rebalances/new?model={book.model.pk}", form)
    assert response.status_code == 422
    assert f'href="#id_{field}' in response.content.decode()
    assert message in words(response)
    assert not Rebalance.objects.exists()


def test_without_a_model_the_launch_page_asks_which(as_manager, book):
    page = as_manager.get("/rebalances/new")
    assert page.status_code == 200
    lonely = portfolio("Lonely", "5")
    assert "follows no model" in words(as_manager.get(f"/rebalances/new?portfolio={lonely.pk}"))


# A run


def test_an_active_run_asks_for_its_progress_until_it_ends(as_manager, waiting, run_worker):
    address = f"/rebalances/{waiting.pk}/"
    page = as_manager.get(address).content.decode()
    assert f'hx-get="{address}" hx-trigger="every 1s"' in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page

    fragment = as_manager.get(address, headers=HTMX)
    assert fragment.status_code == 200
    assert "<html" not in fragment.content.decode()
    assert "0 of 3" in words(fragment)
    assert "HX-Request" in fragment["Vary"]

    run_worker(waiting)
    ended = as_manager.get(address, headers=HTMX)
    assert (ended.status_code, ended["HX-Refresh"]) == (286, "true")
    assert "hx-trigger" not in as_manager.get(address).content.decode()


def test_a_run_that_nobody_works_on_says_so_instead_of_how_long_it_takes(as_manager, waiting, settings):
    """Not while a sweeper still has time to see to it: only when neither that nor a worker can be running."""
    address, long_ago = f"/rebalances/{waiting.pk}/", timezone.now() - timedelta(seconds=4 * settings.RESEND_SECONDS)
    assert "Nobody is at work" not in words(as_manager.get(address))
    Rebalance.objects.update(launched_at=long_ago)
    assert "Nobody is at work" in words(as_manager.get(address))

    Rebalance.objects.update(state="running", started_at=long_ago, n_no_trades=1)
    assert "Nobody is at work" not in words(as_manager.get(address))
    waiting.portfolios.update(state="solving", lease_until=long_ago)
    page = words(as_manager.get(address))
    assert "Nobody is at work" in page
    assert "time left not known yet" in page


def test_back_to_an_active_run_gives_the_whole_page(as_manager, waiting):
    restore = HTMX | {"HX-History-Restore-Request": "true"}
    assert "<html" in as_manager.get(f"/rebalances/{waiting.pk}/", headers=restore).content.decode()


def test_a_run_becomes_its_result_with_every_portfolio_and_reason(as_manager, run):
    page = as_manager.get(f"/rebalances/{run.pk}/")
    text = words(page)
    assert "Completed with failures" in text
    assert {"Harbour", "Lee", "Tiny"} <= set(re.findall(r"\w+", text))
    tiny = run.portfolios.get(portfolio_name="Tiny")
    assert text.count(tiny.reason) >= 2, "in the group and at its portfolio"
    lee = run.portfolios.get(portfolio_name="Lee")
    assert f"{lee.buy_value:,.0f}" in text
    assert f"{lee.cash_after:,.0f}" in text


def test_the_result_shows_only_the_outcome_that_is_asked_for(as_manager, run):
    text = words(as_manager.get(f"/rebalances/{run.pk}/?outcome=failures"))
    assert "Tiny" in text
    assert "Harbour" not in text
    assert "Lee" in words(as_manager.get(f"/rebalances/{run.pk}/?name=lee&outcome=solved"))
    assert "No portfolio of this run matches" in words(as_manager.get(f"/rebalances/{run.pk}/?name=nobody"))


def test_retry_leads_to_a_new_run_over_what_failed(as_manager, run):
    assert f"/rebalances/new?again={run.pk}" in as_manager.get(f"/rebalances/{run.pk}/").content.decode()
    address = f"/rebalances/new?again={run.pk}"
    page = as_manager.get(address)
    assert "Only the 1 that run #1 could not solve" in words(page)
    form = {"scope": "again", "mode": "to_target", "idempotency_key": hidden(page, "idempotency_key")}
    as_manager.post(address, form)
    assert [row.portfolio_name for row in Rebalance.objects.get(number=2).portfolios.all()] == ["Tiny"]


def test_a_retry_asks_for_what_the_run_was_asked_for(as_manager, manager, book, run_worker):
    """What failed for a limit must not succeed by losing it unseen."""
    options = {"mode": "within_bands", "max_turnover": "0.13", "min_cash": "999999999", "soft_bands": False}
    run = run_worker(run_launch(by=manager, model_id=book.model.pk, options=options))
    address = f"/rebalances/new?again={run.pk}"
    page = as_manager.get(address)
    html = page.content.decode()
    assert "<details open><summary>Limits</summary>" in flat(html)
    assert hidden(page, "max_turnover") == "13"
    assert hidden(page, "min_cash") == "999999999"
    assert re.search(r'value="within_bands"[^>]* checked', html)


def test_a_run_says_how_it_was_asked_for(as_manager, manager, book, run_worker):
    plain = run_worker(run_launch(by=manager, model_id=book.model.pk))
    assert "to target" in words(as_manager.get(f"/rebalances/{plain.pk}/"))
    options = {"mode": "within_bands", "max_turnover": "0.125", "soft_bands": False}
    asked = run_launch(by=manager, model_id=book.model.pk, options=options)
    for run in (asked, run_worker(asked)):
        text = words(as_manager.get(f"/rebalances/{run.pk}/"))
        assert "within bands" in text
        assert "turnover at most 12.50 %" in text
        assert "soft" not in text


def test_a_cancelled_run_counts_and_shows_what_was_not_solved(as_manager, waiting):
    as_manager.post(f"/rebalances/{waiting.pk}/cancel")
    page = as_manager.get(f"/rebalances/{waiting.pk}/")
    assert "3 cancelled" in words(page)
    assert "?outcome=cancelled" in page.content.decode()
    assert "Harbour" in words(as_manager.get(f"/rebalances/{waiting.pk}/?outcome=cancelled"))


def test_cancelling_keeps_what_was_solved_and_says_so(as_manager, waiting):
    page = as_manager.post(f"/rebalances/{waiting.pk}/cancel", follow=True)
    assert "was cancelled" in words(page)
    again = as_manager.post(f"/rebalances/{waiting.pk}/cancel")
    assert again.status_code == 409


def test_a_proposal_shows_how_it_was_found_and_proven(as_manager, run):
    row = run.portfolios.get(portfolio_name="Harbour")
    page = as_manager.get(f"/rebalances/{run.pk}/portfolios/{row.portfolio_id}/")
    text = words(page)
    assert "proven optimal, and of equally good answers the first" in text
    assert "Not in model" in text, "XXX is sold, and why is said"
    assert f"{Decimal(row.document['objective']):,.4f}" in text
    assert "data-figure" in page.content.decode()


def test_a_failed_proposal_has_its_reason_and_nothing_to_trade(as_manager, run):
    row = run.portfolios.get(portfolio_name="Tiny")
    text = words(as_manager.get(f"/rebalances/{run.pk}/portfolios/{row.portfolio_id}/"))
    assert row.reason in text
    assert "BUY" not in text
    assert "No answer was found" in text


def test_a_hostile_portfolio_name_is_only_text(as_manager, run):
    hostile = "</script><img src=x onerror=alert(1)>{{ 7 }}"
    run.portfolios.update(portfolio_name=hostile)
    Order.objects.update(portfolio_name=hostile, ticker='"><b>x')
    for address in pages(run):
        html = as_manager.get(address).content.decode()
        assert "<img" not in html
        assert "<b>x" not in html


# Orders


def test_pages_of_a_result_neither_skip_nor_repeat(run, monkeypatch):
    monkeypatch.setattr("rebalance_app.proposals.selectors.PAGE_SIZE", 2)
    first = proposal_list(run)
    second = proposal_list(run, after=first.next)
    assert [item.row.portfolio_name for item in [*first.rows, *second.rows]] == ["Harbour", "Lee", "Tiny"]
    assert second.next == ""
