import pytest
from django.db import transaction

from benchmarks import real_book
from models_app.imports.services import import_file
from tests.conftest import unavailable


@pytest.fixture(scope="session")
def real_files(tmp_path_factory):
    """The CSV files of a book from real prices; skips where the prices are not here."""
    if why := real_book.missing():
        unavailable("data", why)
    return real_book.real_book(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def imported(real_files, django_db_setup, django_db_blocker):
    """The plans of the imports that put the real book into the database, by kind; rolled back after the module."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield {kind: import_file(kind, path, None) for kind, path in real_files.items()}
        transaction.set_rollback(True)
