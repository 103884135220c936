"""The design system's promises: figures read alike, colours can be told apart, nothing inline, nothing fetched."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import path

from models_app.portfolio.drift import State
from ordergen.places import ASSETS
from ordergen.web import geometry, vocabulary
from ordergen.web.templatetags import drawings
from rebalance_app.models import OrderState, ProposalState, RunState

ROOT = ASSETS  # of a clone, where the packages lie too
CSS = (ROOT / "static/ordergen.css").read_text()
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
UNKNOWN = '<span class="unknown" role="img" aria-label="not available">–</span>'


def rendered(source: str, **context: object) -> str:
    return Template(source).render(Context(context)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("filters", "value", "text"),
    [
        ("money", Decimal("1234567.891"), "1,234,567.89"),
        ("money", Decimal(-12345), "−12,345.00"),
        ("money", Decimal("-0.004"), "0.00"),
        ("money", "999999999999999.9951", "1,000,000,000,000,000.00"),
        ("money", 0, "0.00"),
        ("signed_money", Decimal("12.5"), "+12.50"),
        ("quantity", Decimal("1250.0000"), "1,250"),
        ("quantity", Decimal("12.3456"), "12.3456"),
        ("quantity", Decimal("1E+3"), "1,000"),
        ("signed_quantity", Decimal("20.0000"), "+20"),
        ("signed_quantity", -1250, "−1,250"),
        ("signed_quantity", 0, "0"),
        ("price", Decimal("10.0000"), "10.00"),
        ("price", Decimal("0.1234"), "0.1234"),
        ("percent", Decimal("0.0710"), "7.10 %"),
        ("percent:1", Decimal("0.935"), "93.5 %"),
        ("bare_percent", Decimal("0.05"), "5.00"),
        ("pp", Decimal("0.021"), "+2.10 pp"),
        ("pp", Decimal("-0.0140"), "−1.40 pp"),
        ("pp", Decimal("-0.00004"), "0.00 pp"),
        ("bare_pp", Decimal(0), "0.00"),
        ("band_use", Decimal("-2.1"), "210 %"),
        ("band_use", Decimal("9.994"), "999 %"),
        ("band_use", Decimal(10), "&gt; 999 %"),
        ("band_use", Decimal("Infinity"), "no band"),
        ("duration", 0.04, "0.04 s"),
        ("duration", Decimal(125), "2 min 05 s"),
        ("duration", 7440, "2 h 04 min"),
    ],
)
def test_a_figure_is_spelled_one_way_everywhere(filters, value, text):
    assert rendered("{{ value|" + filters + " }}", value=value) == text


@pytest.mark.parametrize("value", [None, "", "NaN", Decimal("NaN"), float("nan"), "soon"])
@pytest.mark.parametrize(
    "name", ["money", "compact_money", "quantity", "price", "percent", "pp", "band_use", "duration"]
)
def test_what_is_not_known_is_a_dash_and_never_zero(name, value):
    assert rendered("{{ value|" + name + " }}", value=value) == UNKNOWN


def test_a_compact_amount_keeps_the_whole_figure():
    html = rendered("{{ value|compact_money }}", value=Decimal("29674732.10"))
    assert html == '<data value="29674732.10" title="29,674,732.10">29.67 m</data>'


def test_a_moment_is_in_utc_and_readable_by_machines():
    html = rendered(
        "{{ at|moment }} {{ on|day }}", at=datetime(2026, 11, 23, 14, 32, 5, tzinfo=UTC), on=date(2026, 2, 1)
    )
    assert html == (
        '<time class="nowrap" datetime="2026-11-23T14:32:05Z">23 Nov 2026 14:32:05 UTC</time> '
        '<time class="nowrap" datetime="2026-02-01">1 Feb 2026</time>'
    )


def test_every_state_of_drift_has_a_look():
    assert set(get_args(State)) <= vocabulary.STATES["drift"].keys()


@pytest.mark.parametrize(("kind", "states"), [("run", RunState), ("proposal", ProposalState), ("order", OrderState)])
def test_every_state_has_its_own_word_icon_and_tone(kind, states):
    for state in states:
        shown = vocabulary.STATES[kind][state.value]
        assert shown.word == state.label
        assert shown.icon in vocabulary.ICONS


def test_a_side_is_told_by_word_shape_and_colour():
    html = rendered("{% side 'BUY' %}{% side 'SELL' '471' %}")
    assert 'class="side buy"' in html
    assert "BUY" in html
    assert vocabulary.ICONS["up"] in html
    assert '<span class="visually-hidden">sell </span>' in html
    assert "471" in html


@pytest.mark.parametrize("hostile", ["<img src=x onerror=alert(1)>", "</script><script>", '"><b>', "{{ 7|add:7 }}"])
def test_a_hostile_name_stays_text(hostile):
    html = rendered(
        "{% state_chip 'run' name %}{% state_chip 'run' 'queued' name %}"
        "{% weight_strip strip %}{% chart figure name %}",
        name=hostile,
        strip=[(hostile, Decimal("0.1"))],
        figure={"data": [{"y": [hostile]}]},
    )
    assert "<img" not in html
    assert "<script" not in html
    assert "<b>" not in html
    assert "14" not in re.sub(r'd="[^"]*"', "", html)


def test_a_bullet_points_out_of_its_scale_beyond_two_bands():
    inside = geometry.Bullet(Decimal("1.9"), "sell", 120)
    beyond = geometry.Bullet(Decimal("8.04"), "sell", 120)
    assert beyond.line == "M60.0 8H115.0"
    assert beyond.marker != inside.marker
    assert 'd="" fill="var(--band)"' in drawings.bullet(None, "not_in_model", no_band=True)
    assert drawings.bullet(None, "unpriced") == UNKNOWN


def test_a_strip_leaves_room_for_cash_and_shows_too_much_as_too_much():
    strip = geometry.Strip([("A", Decimal("0.5")), ("B", Decimal("0.3")), ("C", Decimal("0.005"))], Decimal("0.95"))
    assert strip.total == Decimal("0.805")
    assert [(bar.x, bar.width) for bar in strip.bars] == [("0.0", "500.0"), ("500.0", "300.0"), ("800.0", "5.0")]
    assert geometry.Strip([("A", Decimal("0.6")), ("B", Decimal("0.5"))], Decimal("0.95")).bars[-1].shade == "over"


TOKENS = {
    name: (light, dark or light)
    for name, light, dark in re.findall(r"--([\w-]+): (?:light-dark\()?(#[0-9a-f]{6})(?:, (#[0-9a-f]{6})\))?;", CSS)
}
TEXT_ON = [
    *((text, ground) for text in ("text", "muted") for ground in ("surface", "bg", "surface-2", "selected")),
    *(("accent", ground) for ground in ("surface", "bg", "surface-2", "selected")),
    *((tone, f"{tone}-bg") for tone in ("buy", "sell", "ok", "warn", "danger", "info")),
    *((tone, "surface") for tone in ("buy", "sell", "ok", "warn", "danger", "info")),
    *((tone, "selected") for tone in ("buy", "sell")),
    ("on-accent", "accent"), ("rail-text", "rail"), ("rail-on", "rail-active"),
    ("on-hot", "hot"), ("on-bar-accent", "bar-accent"),
]  # fmt: skip
MARK_ON = [("control", "surface"), ("buy", "band"), ("sell", "band"), ("tick", "band"), ("focus", "selected")]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT_ON, 4.5), (MARK_ON, 3.0)], ids=["text", "marks"])
def test_colours_keep_the_contrast_that_wcag_asks_for(pairs, least, theme):
    ratios = {pair: round(contrast(TOKENS[pair[0]][theme], TOKENS[pair[1]][theme]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < least} == {}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.relative_to(ROOT / "templates").as_posix())
def test_a_template_has_no_inline_script_handler_style_or_foreign_address(template: Path):
    text = template.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "scripts are files"
    assert not re.search(r"\son[a-z]+=|hx-on|hx-vals=.js:|javascript:", text), "no handlers in markup"
    assert "<style" not in text
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text), "everything is served from here"
    assert "|safe" not in text
    assert "autoescape off" not in text


def test_no_markup_is_trusted_by_hand():
    for module in [*ROOT.glob("ordergen/**/*.py"), *ROOT.glob("*_app/**/*.py")]:
        assert "mark_safe" not in module.read_text(), module


@pytest.mark.parametrize("folder", ["plotly", "inter"])
def test_a_vendored_file_is_the_one_its_version_file_names(folder):
    home = ROOT / "static/vendor" / folder
    digest, name = re.search(r"sha256 (\w{64})  (\S+)", (home / "VERSION").read_text()).groups()
    assert hashlib.sha256((home / name).read_bytes()).hexdigest() == digest
    assert (home / "LICENSE").stat().st_size > 500


def test_our_own_script_stays_small():
    assert (ROOT / "static/app.js").stat().st_size < 7 * 1024
    assert (ROOT / "static/signin.js").stat().st_size < 5 * 1024
    assert len((ROOT / "static/charts.js").read_text().splitlines()) <= 70


urlpatterns = [path(f"{name}/", lambda _: None, name=name) for name in ("signin", "signout", "still")]


@pytest.mark.urls(__name__)
def test_the_rail_shows_what_a_person_may_open_and_where_they_are(manager):
    def page(user, address):
        request = RequestFactory().get(address)
        request.user = user
        return Template("{% extends 'base.html' %}").render(
            Context({"request": request, "user": user, "rail": {"awaiting": 3}, "data_label": "Synthetic market"})
        )

    html = page(manager, "/orders/65f0/")
    assert '<a href="/orders/" aria-current="page">' in html
    assert html.count("aria-current") == 1
    assert '<span class="count hot">3' in html
    assert "Synthetic market" in html
    assert '"/import/"' in html
    assert '"/audit/"' not in html
    manager.roles = ["auditor"]
    assert '"/audit/"' in page(manager, "/")
