"""What the README promises to tell is told."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_setting_of_the_environment_stands_in_the_readme():
    source = (ROOT / "ordergen/settings.py").read_text()
    names = set(re.findall(r"""(?:env(?:\.\w+)?|_service_url)\(\s*"([A-Z][A-Z0-9_]+)\"""", source))
    readme = (ROOT / "README.md").read_text()

    assert len(names) > 30
    assert sorted(name for name in names if not re.search(rf"`[^`]*\b{name}\b", readme)) == []


def test_every_target_of_the_makefile_says_what_it_does():
    targets = re.findall(r"^([a-z][a-z-]*):(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert len(targets) > 5
    assert [name for name, rest in targets if "##" not in rest] == []


def table_rows(page):
    """By its first cell, the other cells of every row of a page's tables."""
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', (ROOT / "templates/help" / page).read_text())
    return {name: [cell for cell in re.findall(r"<td[^>]*>(.*?)</td>", cells) if cell] for name, cells in rows}


PEERS = ("rounded relaxation (the original)", "PyPortfolioOpt greedy", "PyPortfolioOpt LP")
COUPLED = {
    "100 securities, binding cash floor": "cash floor",
    "Cash floor that just binds": "cash floor, just binding",
    "Cash floor and smallest order": "cash floor, minimum trade",
    "Cash floor, smallest order and turnover": "cash floor, minimum trade, turnover",
    "The same at 10 million": "the same at 10 million",
    "500 securities, binding cash floor": "cash floor, 500 securities",
}


def test_the_times_under_help_are_those_that_were_measured():
    measured, rows = json.loads((ROOT / "benchmarks/optimiser.json").read_text()), table_rows("orders.html")
    times = measured["coupled, 100 securities, CPU ms"]

    for name, case in COUPLED.items():
        assert rows[name] == [f"{times[case][column]:,.1f} ms" for column in ("median", "p90", "max")]
    arrays = measured["arrays, 10,000 x 100, ms"]
    assert rows["10,000 portfolios × 100 positions as arrays, one model"] == [f"{arrays['one model']['median']:.1f} ms"]
    assert rows["The same, everything per cell"] == [f"{arrays['everything per cell']['median']:.1f} ms"]
    memory = measured["peak memory, MB"]
    told = f"Peak memory of a worker {memory['worker']} MB, of its solver {memory['solver child']} MB."
    assert told in (ROOT / "templates/help/orders.html").read_text()


def test_the_quality_under_help_is_what_was_measured():
    quality = json.loads((ROOT / "benchmarks/optimiser.json").read_text())["quality"]
    rows = table_rows("orders.html")

    for name in ("Answers where there is none", "Answers outside a band", "Answers below the cash floor"):
        key = name.removeprefix("Answers ").replace("where", "answers where")
        assert rows[name] == ["0", *(f"{quality[peer].get(key, 0):,}" for peer in PEERS)]
    equal = [str(quality[peer]["equal to the optimum"]) for peer in PEERS]
    assert rows["Equal to the optimum"] == [str(quality["ordergen"]["optimal"]), *equal]
    speeds = [f"{quality[method]['portfolios per CPU second']:,}" for method in ("ordergen", *PEERS)]
    assert rows["Portfolios per CPU second"] == speeds
    assert quality["ordergen"]["faults"] == 0
