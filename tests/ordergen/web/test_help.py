"""The help pages: there for everybody who is signed in, and their pictures and formulas for everybody."""

import re

import pytest
from django.urls import reverse

from ordergen.web.help import TOPICS
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D, position, problem, shares

pytestmark = pytest.mark.django_db
PAGES = ["/help/", *(f"/help/{name}/" for name in TOPICS)]


@pytest.fixture(autouse=True)
def _no_files(settings, tmp_path):
    settings.STATIC_ROOT = str(tmp_path)
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there_for_whoever_is_signed_in_and_nobody_else(client, viewer, path):
    assert client.get(path).status_code == 302
    client.force_login(viewer)
    page = client.get(path)

    assert page.status_code == 200
    assert page.content.decode().count("<h1") == 1


def test_a_topic_that_there_is_not_is_not_found(client, viewer):
    client.force_login(viewer)
    assert client.get("/help/astrology/").status_code == 404


@pytest.mark.parametrize("name", TOPICS)
def test_every_entry_of_the_contents_leads_somewhere_and_every_picture_has_words(client, viewer, name):
    client.force_login(viewer)
    page = client.get(reverse("help_topic", args=[name])).content.decode()
    article = page[page.index("<article>") : page.index("</article>")]

    for anchor in re.findall(r'href="#(\w+)"', page[page.index('class="toc"') : page.index("<article>")]):
        assert f'id="{anchor}"' in article
    icon = r'class="icon" [^>]*aria-hidden="true"'  # says nothing that the word beside it does not
    for picture in re.findall(rf"<svg(?! {icon}).*?</svg>", article, re.DOTALL):
        label = re.search(r'role="img" aria-labelledby="([\w-]+)"', picture)
        assert label, picture[:80]
        assert f'<title id="{label[1]}">' in picture
    assert "{%" not in article
    assert "&amp;lt;" not in article


# The figures under the pictures are those of the optimiser.


def test_the_picture_of_a_band_is_true():
    found = solve(problem("1003", position("A", "10", "10", "0.10", ("0.01", "0.02"))))
    assert (found.quantities["A"], found.drift_value) == (11, D("0.30"))


def test_the_picture_of_rounding_is_true():
    found = solve(problem("1000", position("A", "0", "37", "0.05", ("0.005", "0.03"))))
    assert shares(found) == {"A": 2}


@pytest.mark.slow
def test_the_picture_of_two_securities_that_compete_is_true():
    lines = (position("A", "0", "10", "0.36", ("0.16", "0.14")), position("B", "0", "14", "0.378", ("0.098", "0.182")))
    alone, together = solve(problem("100", *lines)), solve(problem("100", *lines, min_cash=D(20)))

    assert (shares(alone), alone.cash_after) == ({"A": 4, "B": 3}, D(18))
    assert (shares(together), together.drift_value) == ({"A": 3, "B": 3}, D("10.20"))
