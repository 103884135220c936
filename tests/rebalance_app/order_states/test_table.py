"""The table of states: each has its look, its place in a list and its row on the help page."""

import pytest

from ordergen.web.vocabulary import STATES, UNKNOWN
from rebalance_app.models import OrderState
from rebalance_app.order_states.table import AWAITING, ENDED, FINAL, OPEN_ORDER, state_rows
from rebalance_app.orders.selectors import TABS, tab_of
from tests.markup import words


@pytest.mark.parametrize("state", OrderState)
def test_every_state_has_a_look_with_its_own_word(state):
    look = STATES["order"][state.value]

    assert look.word == state.label
    assert state == OrderState.UNKNOWN or look != UNKNOWN


def test_no_two_states_look_the_same():
    assert len(set(STATES["order"].values())) == len(OrderState) == len(STATES["order"])


def test_every_state_is_in_one_kind_and_has_a_row():
    for row in state_rows():
        kinds = [row.state in AWAITING, row.state in OPEN_ORDER, row.state in ENDED | FINAL]
        assert sum(kinds) == 1, row.state
        assert row.movers, row.state
    assert [row.state for row in state_rows()] == list(OrderState)


@pytest.mark.parametrize("state", OrderState)
def test_every_state_can_be_listed_in_a_tab_that_has_it(state):
    assert state in TABS[tab_of(state)]
    assert tab_of(state, "all") == "all"


@pytest.mark.django_db
def test_the_help_page_is_made_of_the_table(client, viewer):
    client.force_login(viewer)
    page = client.get("/help/states/")
    text = words(page)

    for row in state_rows():
        assert f"{row.state.label} {row.state.value} {', '.join(row.movers)}" in text
        assert f'href="/orders/?state={row.state.value}"' in page.content.decode()
