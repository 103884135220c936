"""Figures of a proposal: whatever is in its rows, they are drawn true."""

from __future__ import annotations

import json
from decimal import Decimal

from rebalance_app.proposals import charts
from rebalance_app.proposals.selectors import ProposalLine
from tests.builders import position


def line(**changes) -> ProposalLine:
    aim = position("a" * 24)
    values = {
        "security_id": aim.security_id, "ticker": "AAA", "name": "Aaa", "price": Decimal(10),
        "quantity_before": Decimal(10), "quantity_after": Decimal(5), "target": aim.target,
        "low_drift": aim.low_drift, "high_drift": aim.high_drift, "weight_before": Decimal("0.30"),
        "weight_after": Decimal("0.05"), "band_use_before": Decimal(10), "band_use_after": Decimal(0),
        "state_before": "breach_over", "state_after": "in_band", "side": "SELL", "trade_quantity": 5,
        "reason": "BREACH_OVER",
    }  # fmt: skip
    return ProposalLine(**(values | changes))


def test_a_far_outlier_is_drawn_at_the_edge_with_its_value():
    figure = charts.before_after([line(), line(ticker="BBB", weight_before=Decimal("0.06"))])
    edge = figure["layout"]["xaxis"]["range"][1]
    before = figure["data"][2]["x"]
    assert max(before) < edge < 25
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["+25.00 pp ▶"]
    json.dumps(figure)


def test_a_chart_shows_each_row_its_own_band():
    bars = charts.before_after([line(low_drift=Decimal("0.01"), high_drift=Decimal("0.03"))])["data"][0]
    assert (bars["base"], bars["x"]) == ([-1.0], [4.0])


def test_a_name_with_markup_stays_text_in_a_chart():
    figure = charts.before_after([line(name="<a href='javascript:x'>click</a>")])
    assert "<a" not in json.dumps(figure)


def test_what_is_neither_traded_nor_outside_is_left_to_the_table():
    quiet = line(side=None, trade_quantity=None)
    assert charts.chart_rows([quiet]) == []
    assert charts.chart_rows([line(weight_before=None)]) == []
    assert len(charts.chart_rows([line(ticker=str(n)) for n in range(100)])) == charts.MOST_ROWS
