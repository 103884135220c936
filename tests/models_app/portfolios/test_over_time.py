"""The path of weights: prices move them, and what is missing is not guessed."""

import numpy as np
import pandas as pd
import pytest

from models_app.portfolios.over_time import weight_path
from tests.rebalance_app.optimiser.build import D


def test_weights_over_time_follow_the_prices_and_show_gaps_as_gaps():
    prices = pd.DataFrame(
        {"A": [10.0, 20.0, np.nan], "B": [10.0, 10.0, 10.0]}, index=pd.date_range("2026-01-02", periods=3, freq="W")
    )
    path = weight_path({"A": D(5), "B": D(5)}, prices, D(0))
    assert path["A"].tolist()[:2] == pytest.approx([0.5, 2 / 3])
    assert path["B"].tolist()[:2] == pytest.approx([0.5, 1 / 3])
    assert path.iloc[2].isna().all()
    assert list(path.index) == list(prices.index)
