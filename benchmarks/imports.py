"""100,000 rows from bytes to a plan, and from a plan into the book: as documented, as brokers write them, and Excel.

    python benchmarks/imports.py              prints seconds of this process, the best of three
    python benchmarks/imports.py --rows 10000

To compare two versions, run it in a worktree of each, in turns: other work on the machine moves all of its figures.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
SECURITIES, HELD = 1_000, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    n = parser.parse_args().rows
    home = tempfile.mkdtemp(prefix="ordergen-bench-")
    os.environ |= {"ORDERGEN_HOME": home, "DATABASE_URL": f"sqlite:///{home}/bench.sqlite3"}
    os.environ |= {"DJANGO_SETTINGS_MODULE": "ordergen.settings", "LOG_LEVEL": "ERROR"}
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    take("securities", "ticker,name\n" + "".join(f"T{i:05},Name {i}\n" for i in range(SECURITIES)))
    take("portfolios", "name,cash\n" + "".join(f"Portfolio {i},{i}.25\n" for i in range(n // HELD)))
    for name, make in {"as documented": documented, "as banks write it": foreign, "a workbook": workbook}.items():
        try:
            best = min(take("holdings", make(n, turn)) for turn in range(3))
        except (AssertionError, TypeError):  # a version before such files were read
            print(f"{name}: not read by this version")
            continue
        print(f"{name}: {best[0]:.2f} s to plan, {best[0] + best[1]:.2f} s with the import")


def rows(n: int, turn: int):
    for i in range(n):
        yield f"Portfolio {i // HELD}", f"T{i % HELD * 10:05}", f"{i % 977 + 1 + turn}.{i % 10000:04}"


def documented(n: int, turn: int) -> str:
    return "portfolio,ticker,quantity\n" + "".join(f"{','.join(row)}\n" for row in rows(n, turn))


def foreign(n: int, turn: int) -> str:
    head = "Depot;;;\nDepot;Symbol;Stück;Kurs\n"
    return head + "".join(
        f"{name};{ticker};{quantity.replace('.', ',')};1.040,00\n" for name, ticker, quantity in rows(n, turn)
    )


def workbook(n: int, turn: int) -> bytes:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["portfolio", "ticker", "quantity"])
    for name, ticker, quantity in rows(n, turn):
        sheet.append([name, ticker, float(quantity)])
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def take(kind: str, content: str | bytes) -> tuple[float, float]:
    """Seconds of planning and of applying."""
    from models_app.imports import services

    said = {"column.depot": "portfolio", "column.symbol": "ticker", "column.stück": "quantity", "column.kurs": ""}
    how = {"how": services.HowToRead(said)} if hasattr(services, "HowToRead") else {}
    raw = content.encode() if isinstance(content, str) else content
    started = time.process_time()
    plan = services.plan_import(kind, io.BytesIO(raw), None, **how)
    planned = time.process_time()
    assert plan.is_clean, plan.problems.shown[:1]
    services.apply_import(plan, by=None)
    return planned - started, time.process_time() - planned


if __name__ == "__main__":
    main()
