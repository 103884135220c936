"""Run as a program: twenty editors in four processes save the same version of one model. Prints who won, as JSON."""

import json
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import django


def start() -> None:
    django.setup()


def edit(name: str, model_id: str) -> str:
    from django.db import connection

    from models_app.modelling import services
    from ordergen.core.errors import ConflictError
    from tests.builders import draft

    try:
        services.model_update(model_id=model_id, version=1, draft=draft(name=name), by=None)
    except ConflictError:
        return ""
    finally:
        connection.close()
    return name


def five_editors(number: int, model_id: str) -> list[str]:
    names = [f"Editor {number}.{n}" for n in range(5)]
    with ThreadPoolExecutor(5) as threads:
        return list(threads.map(edit, names, [model_id] * 5))


def main() -> None:
    start()
    from django.core.management import call_command

    from models_app.investment_models import selectors
    from models_app.modelling import services
    from models_app.models import ModelVersion
    from ordergen.audit.models import AuditEvent
    from ordergen.audit.services import first_broken_link
    from tests.builders import draft

    call_command("migrate", verbosity=0)
    model_id = services.model_create(draft=draft(), by=None).pk
    with ProcessPoolExecutor(4, mp_context=get_context("spawn"), initializer=start) as processes:
        outcomes = [name for names in processes.map(five_editors, range(4), [model_id] * 4) for name in names]
    model = selectors.model_get(model_id)
    found = {"outcomes": outcomes, "name": model.name, "version": model.version}
    found |= {"versions": ModelVersion.objects.count(), "events": AuditEvent.objects.count()}
    json.dump(found | {"broken_link": first_broken_link()}, sys.stdout)


if __name__ == "__main__":
    main()
