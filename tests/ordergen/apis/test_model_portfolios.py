"""The portfolios of a model, one by one, over API v2."""

import pytest

from tests.callers import Api


@pytest.fixture
def v2(manager, key_for):
    return Api("/api/v2", **{"X-API-Key": key_for(manager)})


def test_a_portfolio_follows_a_model_and_leaves_it(v2, book):
    path = f"/models/{book.model.pk}/portfolios"
    names = [row["name"] for row in v2.get(path).json()["items"]]
    assert sorted(names) == ["Harbour", "Lee", "Tiny"]

    gone = v2.delete(f"{path}/{book.tiny.pk}")
    assert (gone.json()["version"], gone["ETag"]) == (2, '"2"')
    assert v2.delete(f"{path}/{book.tiny.pk}").json()["version"] == 2, "nothing changes"
    back = v2.put(f"{path}/{book.tiny.pk}")
    assert book.tiny.pk in back.json()["portfolios"]


def test_pages_follow_one_another(v2, book):
    path = f"/models/{book.model.pk}/portfolios"
    first = v2.get(f"{path}?limit=2").json()
    second = v2.get(f"{path}?limit=2&cursor={first['next_cursor']}").json()

    assert sorted(row["id"] for row in first["items"] + second["items"]) == sorted(
        [book.harbour.pk, book.cash_only.pk, book.tiny.pk]
    )
    assert second["next_cursor"] is None


def test_the_last_one_stays(v2, book):
    path = f"/models/{book.model.pk}/portfolios"
    v2.delete(f"{path}/{book.tiny.pk}")
    v2.delete(f"{path}/{book.harbour.pk}")
    assert v2.delete(f"{path}/{book.cash_only.pk}").status_code == 422
    assert v2.get(f"/models/{'0' * 24}/portfolios").status_code == 404
