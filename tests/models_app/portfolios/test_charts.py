"""Figures say what the tables say: every row's own band, far marks at the edge, gaps where nothing is known."""

import json
from datetime import date
from decimal import Decimal

import pytest

from models_app.drift_index.live_drift import PositionView
from models_app.portfolio.drift import portfolio_drift
from models_app.portfolio.types import Position
from models_app.portfolios import charts


def lines(*positions, cash="0"):
    """Each position is (ticker, shares, target, low, high) at a price of 10."""
    given = [
        Position(ticker, Decimal(shares), Decimal(10), Decimal(target), Decimal(low), Decimal(high))
        for ticker, shares, target, low, high in positions
    ]
    drift = portfolio_drift(given, Decimal(cash))
    return [
        PositionView(place, place.security_id, f"{place.security_id} Inc", date(2026, 1, 2), in_model=True)
        for place in drift.positions
    ]


@pytest.fixture
def three():
    """Market value 1000: OVER +4 pp of 2, UNDER −3 pp of 1, CALM in its band."""
    return lines(
        ("OVER", "24", "0.20", "0.01", "0.02"), ("UNDER", "17", "0.20", "0.01", "0.02"),
        ("CALM", "30", "0.30", "0.02", "0.02"), cash="290",
    )  # fmt: skip


def test_each_bar_is_its_rows_own_band_and_each_mark_its_drift_in_points(three):
    bands, _, marks = charts.drift_chart(three, {})["data"]
    assert bands["base"] == [-1.0, -1.0, -2.0]
    assert bands["x"] == [3.0, 3.0, 4.0]
    assert marks["customdata"] == [[""], [""], [""]]
    assert marks["marker"]["symbol"][:2] in (["triangle-down", "triangle-up"], ["triangle-right-open", "triangle-up"])
    assert marks["marker"]["color"] == ["var(--sell)", "var(--buy)", "var(--muted)"]


def test_only_breaches_carry_their_figures(three):
    texts = [label["text"] for label in charts.drift_chart(three, {})["layout"]["annotations"]]
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in texts] == ["+4.00 pp · 200 %", "−3.00 pp · 300 %"]


def test_a_mark_far_beyond_the_others_is_drawn_at_the_edge_and_counted():
    calm = [(f"C{n}", "10", "0.01", "0.01", "0.01") for n in range(20)]
    given = lines(("FAR", "700", "0.20", "0.01", "0.01"), *calm, cash="100")
    figure = charts.drift_chart(given, {})
    edge = figure["layout"]["xaxis"]["range"][1]
    mark = figure["data"][2]
    assert mark["marker"]["symbol"][0] == "triangle-right-open"
    assert mark["x"][0] < edge < 5
    assert charts.n_clipped(given) == 1


def test_names_that_look_like_markup_are_shown_as_text():
    figure = charts.drift_chart(lines(("<b>X", "10", "0.5", "0.1", "0.1"), cash="100"), {})
    assert figure["layout"]["yaxis"]["ticktext"] == ["&lt;b&gt;X"]
    assert "<b>X" not in figure["data"][2]["hovertext"][0]


def test_a_portfolio_without_weights_has_an_empty_figure():
    assert charts.drift_chart(lines(("A", "0", "0.5", "0.1", "0.1")), {})["data"][2]["x"] == []


def test_a_click_leads_where_the_row_leads(three):
    assert charts.drift_chart(three, {"OVER": "/somewhere/"})["data"][2]["customdata"][0] == ["/somewhere/"]


DAYS = [date(2026, 1, day) for day in (2, 9, 16, 23)]
BAND = [(date(2026, 1, 5), Decimal("0.10"), Decimal("0.09"), Decimal("0.12"))]
WIDER = [*BAND, (date(2026, 1, 16), Decimal("0.20"), Decimal("0.15"), Decimal("0.25"))]


def test_the_corridor_steps_where_the_model_changed_and_reaches_back_before_its_first_version():
    lowest, highest, target = charts.weight_history_chart(DAYS, [0.1] * 4, WIDER)["data"][:3]
    assert lowest["y"] == [9.0, 9.0, 15.0, 15.0, 15.0]
    assert highest["y"] == [12.0, 12.0, 25.0, 25.0, 25.0]
    assert target["y"] == [10.0, 10.0, 20.0, 20.0, 20.0]
    assert lowest["line"]["shape"] == "hv"


def test_days_outside_the_corridor_are_marked_by_side_and_days_without_price_are_gaps():
    weights = [0.13, None, 0.11, 0.08]
    assert charts.sides(DAYS, weights, BAND) == ["over", "", "", "under"]
    *_, line, over, under = charts.weight_history_chart(DAYS, weights, BAND)["data"]
    assert line["y"] == [13.0, None, 11.0, 8.0]
    assert line["connectgaps"] is False
    assert (over["y"], under["y"]) == ([13.0, None, None, None], [None, None, None, 8.0])


def test_without_a_model_there_is_a_line_and_no_corridor():
    figure = charts.weight_history_chart(DAYS, [0.1] * 4, [])
    assert figure["data"][0]["y"] == [None] * 5
    assert charts.sides(DAYS, [0.1] * 4, []) == [""] * 4


def test_figures_are_plain_json_with_colours_by_name(three):
    for figure in (charts.drift_chart(three, {}), charts.weight_history_chart(DAYS, [0.1, None, 0.2, 0.3], WIDER)):
        text = json.dumps(figure, allow_nan=False)
        assert "var(--band)" in text
        assert "#" not in text
