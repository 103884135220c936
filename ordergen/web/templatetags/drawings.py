"""What a page draws: icons, the chip of a state, the side of an order, and the small SVG inside tables."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ordergen.web.geometry import Bullet, Dumbbell, Strip
from ordergen.web.templatetags.figures import Number, exact, percent, unknown
from ordergen.web.vocabulary import ICONS, UNDER, look

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """One of vocabulary.ICONS, in the colour of the text; the word beside it says what it means."""
    return format_html(
        '<svg class="icon" viewBox="0 0 12 12" aria-hidden="true"><path fill-rule="evenodd" d="{}"/></svg>', ICONS[name]
    )


@register.simple_tag
def side(value: str, text: str = "") -> SafeString:
    """▲ BUY or ▼ SELL by word, shape and colour; `text` replaces the word, as in "▲ 471"."""
    shown = look("side", value)
    word = text or shown.word
    if not text:
        return format_html('<span class="side {}">{}{}</span>', shown.tone, icon(shown.icon), word)
    return format_html(
        '<span class="side {}"><span class="visually-hidden">{} </span>{}{}</span>',
        shown.tone, shown.word.lower(), icon(shown.icon), word,
    )  # fmt: skip


@register.simple_tag
def state_chip(kind: str, state: str, text: str = "") -> SafeString:
    """The chip of a `kind` of state (drift, run, proposal, order); `text` replaces its word where a page knows more."""
    shown = look(kind, state)
    return format_html('<span class="chip {}">{}{}</span>', shown.tone, icon(shown.icon), text or shown.word)


@register.simple_tag
def bullet(use: Number, state: str = "in_band", width: int = 120, *, no_band: bool = False) -> SafeString:
    """A signed band use against its band (grey), from −200 % to +200 %; the cell's text carries the figure.

    Where there is no band to use (`no_band`, or an infinite use) it shows only on which side the position is.
    """
    endless = no_band or "inf" in str(use).lower()
    below = str(use).startswith("-") or look("drift", state) is UNDER
    number = Decimal(-3 if below else 3) if endless else exact(use)
    if number is None:
        return unknown()
    mark = Bullet(number, look("drift", state).tone, width, no_band=endless)
    return format_html(
        '<svg class="bullet" width="{}" height="16" viewBox="0 0 {} 16" aria-hidden="true">'
        '<path d="{}" fill="var(--band)"/><path d="{}" stroke="var(--control)"/>'
        '<path d="{}" stroke="{}" stroke-width="2"/><path d="{}" stroke="var(--tick)" stroke-width="1.5"/>'
        '<path d="{}" fill="{}"/></svg>',
        width, width, mark.band, mark.edges, mark.line, mark.colour, mark.tick, mark.marker, mark.colour,
    )  # fmt: skip


@register.simple_tag
def dumbbell(before: Number, after: Number, most: Number = None, width: int = 120) -> SafeString:
    """From a ring (before) to a dot (after) on a scale from 0 to `most`, which a column's rows share."""
    first, last = exact(before), exact(after)
    if first is None or last is None:
        return unknown()
    mark = Dumbbell(first, last, exact(most) or max(first, last), width)
    return format_html(
        '<svg class="dumbbell" width="{}" height="16" viewBox="0 0 {} 16" aria-hidden="true">'
        '<path d="{}" stroke="var(--border)"/><path d="{}" stroke="var(--accent)" stroke-width="2"/>'
        '<circle cx="{}" cy="8" r="4" fill="var(--surface)" stroke="var(--muted)" stroke-width="1.5"/>'
        '<circle cx="{}" cy="8" r="4.5" fill="var(--accent)"/></svg>',
        width, width, mark.axis, mark.line, mark.before, mark.after,
    )  # fmt: skip


@register.simple_tag
def weight_strip(segments: Iterable[tuple[str, Number]], limit: Number = "0.95") -> SafeString:
    """Target weights side by side, the cash that remains hatched, a line at the limit for their sum."""
    strip = Strip([(label, exact(weight) or Decimal(0)) for label, weight in segments], exact(limit) or Decimal(1))
    bars = format_html_join(
        "",
        '<rect class="{}" x="{}" width="{}" height="20"><title>{} {}</title></rect>',
        ((bar.shade, bar.x, bar.width, bar.label, percent(bar.weight)) for bar in strip.bars),
    )
    return format_html(
        '<svg class="strip" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="{}">{}'
        '<path class="limit" d="{}"/></svg>',
        f"Targets sum to {percent(strip.total)}, cash {percent(1 - strip.total)}", bars, strip.limit,
    )  # fmt: skip
