"""Run as a program: three processes plan an import for an empty book, then all apply it. Prints what came of it."""

import io
import json
import sys
from multiprocessing import get_context

import django


def apply_after_all_have_planned(number, all_planned, outcomes):
    django.setup()
    from models_app.imports.services import apply_import, plan_import
    from ordergen.core.errors import ConflictError

    rows = "".join(f"T{row},from process {number}\n" for row in range(500))
    plan = plan_import("securities", io.BytesIO(f"ticker,name\n{rows}".encode()), None)
    all_planned.wait(timeout=60)
    try:
        apply_import(plan, by=None)
    except ConflictError:
        outcomes.put("conflict")
    else:
        outcomes.put("applied")


def main():
    django.setup()
    from django.core.management import call_command

    from models_app.models import Security
    from ordergen.audit.models import AuditEvent
    from ordergen.audit.services import first_broken_link

    call_command("migrate", verbosity=0)
    context = get_context("spawn")
    outcomes, all_planned = context.Queue(), context.Barrier(3)
    processes = [
        context.Process(target=apply_after_all_have_planned, args=(number, all_planned, outcomes))
        for number in range(3)
    ]
    for process in processes:
        process.start()
    found = {"outcomes": sorted(outcomes.get(timeout=60) for _ in processes)}
    for process in processes:
        process.join()
    found |= {"names": list(Security.objects.values_list("name", flat=True).distinct().order_by())}
    found |= {"securities": Security.objects.count(), "events": AuditEvent.objects.count()}
    json.dump(found | {"broken_link": first_broken_link()}, sys.stdout)


if __name__ == "__main__":
    main()
