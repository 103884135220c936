"""The main job, at a real browser: edit a target, look at drift, rebalance, watch it, and let somebody else approve."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MODEL = "Compact 8"
PAGES = ("/", "/models/", "/portfolios/", "/rebalances/", "/orders/", "/import/")


def test_from_a_target_to_approved_orders_by_keyboard_and_mouse(visitor, demo):
    maya = visitor()
    page = maya.sign_in("maya")

    # By keyboard to the models, by mouse into one, and a target half a point lower.
    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    page.get_by_role("link", name=MODEL, exact=True).first.click()
    page.get_by_role("link", name="Edit", exact=False).first.click()
    target = page.get_by_label("Target in per cent, row 1", exact=True)
    before = float(target.input_value())
    target.fill(f"{before - 0.5:g}")
    expect(page.locator("#sums")).to_contain_text("Σ target")
    page.get_by_label("Reason for this version").fill("half a point to cash")
    page.keyboard.press("Control+s")
    expect(page.get_by_text("v2", exact=False).first).to_be_visible()

    # Drift of one of its portfolios: the chart is drawn, and the table says the same.
    page.locator("tbody th a[href^='/portfolios/']").first.click()
    expect(page.locator(".js-plotly-plot .barlayer .point").first).to_be_visible()
    expect(page.get_by_role("table").first).to_contain_text("Cash")

    # Rebalance the whole model and watch.
    model = page.get_by_role("link", name=re.compile(rf"^{MODEL} · v2")).first
    model.click()
    page.get_by_role("main").get_by_role("link", name=re.compile("^Rebalance")).first.click()
    page.get_by_role("button", name="Start run").click()
    page.wait_for_url(re.compile("/rebalances/[0-9a-f]{24}/"))
    run_url = page.url
    expect(page.locator("#progress")).to_have_count(0, timeout=180_000)
    expect(page.get_by_role("heading", name="Portfolios")).to_be_visible()

    # Who launched it cannot approve it: there is nothing to tick.
    page.get_by_role("link", name=re.compile(r"Review \d+ orders")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Orders")
    assert page.get_by_role("button", name="Approve").count() == 0

    # Another person approves the lot.
    tom = visitor()
    page = tom.sign_in("tom")
    page.goto(run_url)
    page.get_by_role("link", name=re.compile(r"Review \d+ orders")).click()
    page.get_by_label(re.compile("all .* of run")).check()
    page.get_by_role("button", name="Approve…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Net cash")
    dialog.get_by_label("Comment").fill("checked against the mandate")
    if (typed := dialog.locator("[name=typed]")).count():  # asked of a large approval
        typed.fill(re.search(r"\d[\d,]*", dialog.get_by_role("heading").inner_text())[0].replace(",", ""))
    dialog.get_by_role("button", name=re.compile("^Approve ")).click()
    expect(page.locator("main")).to_contain_text("approved")

    number = re.search(r"Run #(\d+)", visitor_title(tom, run_url))[1]
    counts = demo.site.ask(
        "from rebalance_app.models import Rebalance\n"
        f"run = Rebalance.objects.get(number={number})\n"
        "answer = [run.n_orders, run.n_approved, run.launched_by.username,"
        " sorted(set(run.orders.values_list('decisions__decided_by__username', 'decisions__comment')))]"
    )
    assert counts[0] == counts[1] > 0
    assert counts[2:] == ["maya", [["tom", "checked against the mandate"]]]
    assert json.loads(demo.site.run("verify").stdout)["violations"] == 0
    assert maya.complaints + tom.complaints == []


DOUBLED = """
from django.db import transaction
from models_app.drift_index.changed import book_changed
from models_app.models import Price
from rebalance_app.models import Rebalance
run = Rebalance.objects.get(number={number})
order = run.orders.filter(side="BUY").order_by("-value").first()
with transaction.atomic():
    newest = Price.objects.filter(security_id=order.security_id).order_by("-date").first()
    newest.close = 2 * newest.close
    newest.save()
    book_changed()
sale = run.orders.filter(side="SELL").exclude(security_id=order.security_id).order_by("value").first()
answer = [order.ticker, sale.pk]
"""
CUSTODIAN = """
from io import BytesIO
from models_app.imports.services import apply_import, plan_import
from models_app.models import Holding, Portfolio, Security
from rebalance_app.models import Order, Rebalance
run = Rebalance.objects.get(number={number})
done = list(run.orders.filter(state="approved", portfolio_id=run.orders.filter(state="approved").first().portfolio_id))
owner = Portfolio.objects.get(pk=done[0].portfolio_id)
held = dict(Holding.objects.filter(portfolio=owner).values_list("security_id", "quantity"))
for order in done:
    change = order.quantity if order.side == "BUY" else -order.quantity
    held[order.security_id] = held.get(order.security_id, 0) + change
tickers = dict(Security.objects.values_list("pk", "ticker"))
rows = "".join(f"{{owner.pk}},{{tickers[key]}},{{quantity}}\\n" for key, quantity in held.items())
apply_import(plan_import("holdings", BytesIO(f"portfolio,ticker,quantity\\n{{rows}}".encode()), None), by=None)
answer = len(done)
"""
COUNTED = """
from rebalance_app.models import Order, PortfolioRebalance, Rebalance
later = Rebalance.objects.order_by("-number").first()
rows = PortfolioRebalance.objects.filter(rebalance=later)
counted = {order["id"] for row in rows for order in row.document.get("open_orders", ())}
of_these = Order.objects.filter(portfolio_id__in=rows.values("portfolio_id"), state="approved")
answer = [later.number, len(counted), counted == set(of_these.values_list("pk", flat=True))]
"""


def test_the_life_of_orders_past_a_doubled_price_a_rejected_sale_and_a_second_run(visitor, demo):
    maya, tom = visitor(), visitor()
    number, run_url = rebalanced(maya.sign_in("maya"), demo, "Dividend 12")
    doubled, sale = demo.site.ask(DOUBLED.format(number=number))

    # The approver sees before the decision what the newest prices leave out of it.
    page = tom.sign_in("tom")
    page.goto(run_url)
    page.get_by_role("link", name=re.compile(r"Review \d+ orders")).click()
    page.get_by_label(re.compile("all .* of run")).check()
    page.get_by_role("button", name="Approve…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"{doubled} costs")
    expect(dialog).to_contain_text("left out")
    dialog.get_by_role("link", name="Cancel").click()

    # One sale is rejected, then the rest approved: what lives on that sale stays.
    page.goto(f"{demo.address}/orders/{sale}/")
    page.get_by_label("Comment").fill("the client keeps it")
    page.get_by_role("button", name="Reject").click()
    expect(page.locator("main")).to_contain_text("rejected")
    page.goto(f"{demo.address}/orders/?run={number}")
    page.get_by_label(re.compile("all .* of run")).check()
    page.get_by_role("button", name="Approve…").click()
    dialog.get_by_label("Comment").fill("as seen")
    if (typed := dialog.locator("[name=typed]")).count():
        typed.fill(re.search(r"\d[\d,]*", dialog.get_by_role("heading").inner_text())[0].replace(",", ""))
    dialog.get_by_role("button", name=re.compile("^Approve ")).click()
    expect(page.locator("main")).to_contain_text("approved")

    # A second run counts all that is on its way.
    rebalanced(maya.open("/") and maya.page, demo, "Dividend 12")
    later, n_counted, is_all = demo.site.ask(COUNTED)
    assert (later, is_all) == (number + 1, True)
    assert n_counted > 0

    # In the morning the custodian's holdings show what was done, and one click confirms it.
    n_done = demo.site.ask(CUSTODIAN.format(number=number))
    page.goto(f"{demo.address}/orders/fits/")
    page.get_by_role("button", name=f"Confirm {n_done}").click()
    expect(page.locator("main")).to_contain_text(f"{n_done} done")
    assert json.loads(demo.site.run("verify").stdout)["violations"] == 0
    assert maya.complaints + tom.complaints == []


def rebalanced(page, demo, model):
    """A run over the whole model, from its page, to its end: number and address."""
    page.goto(f"{demo.address}/models/")
    page.get_by_role("link", name=model, exact=True).first.click()
    page.get_by_role("main").get_by_role("link", name=re.compile("^Rebalance")).first.click()
    page.get_by_role("button", name="Start run").click()
    page.wait_for_url(re.compile("/rebalances/[0-9a-f]{24}/"))
    expect(page.locator("#progress")).to_have_count(0, timeout=180_000)
    return int(re.search(r"Run #(\d+)", page.title())[1]), page.url


def visitor_title(visitor, address):
    visitor.page.goto(address)
    return visitor.page.title()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_no_page_complains_overflows_or_breaks_a_rule_of_accessibility(visitor, scheme, width):
    maya = visitor(color_scheme=scheme)
    page = maya.sign_in("maya")
    page.set_viewport_size({"width": width, "height": 900})
    found = {}
    for path in PAGES:
        maya.open(path)
        page.wait_for_load_state("networkidle")
        over = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        axe = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
        found[path] = (over, [(v["id"], v["nodes"][0]["html"][:120]) for v in axe.response["violations"]])

    assert found == {path: (0, []) for path in PAGES}
    assert maya.complaints == []


def test_the_main_pages_work_without_script(visitor):
    maya = visitor(java_script_enabled=False)
    page = maya.sign_in("maya")
    page.get_by_role("link", name="Models", exact=False).first.click()
    page.get_by_role("link", name=MODEL, exact=True).first.click()
    page.get_by_role("main").get_by_role("link", name=re.compile("^Rebalance")).first.click()
    expect(page.get_by_role("button", name="Start run")).to_be_visible()


def test_a_wrong_target_stays_in_its_field_with_what_is_wrong(visitor):
    maya = visitor()
    page = maya.sign_in("maya")
    page.get_by_role("link", name="Models", exact=False).first.click()
    page.get_by_role("link", name="Dividend 12", exact=True).first.click()
    page.get_by_role("link", name="Edit", exact=False).first.click()
    page.get_by_label("Target in per cent, row 2", exact=True).fill("12.3")
    page.get_by_label("Reason for this version").fill("typo")
    page.keyboard.press("Control+s")

    expect(page.get_by_role("alert")).to_contain_text("0.5")
    expect(page.get_by_label("Target in per cent, row 2", exact=True)).to_have_value("12.3")
    expect(page.get_by_label("Reason for this version")).to_have_value("typo")
