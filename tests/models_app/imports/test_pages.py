import errno
import os
import re
import time
from threading import Event

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from models_app.files.kinds import KINDS
from models_app.imports import streams as import_streams
from models_app.imports import uploads
from models_app.imports import views as import_views
from models_app.models import Price, Security
from models_app.reading.import_progress import ImportProgress
from ordergen.accounts.models import User
from ordergen.core.errors import NotFoundError
from tests.markup import flat
from tests.models_app.conftest import SECURITIES

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, manager):
    """The test client, signed in as the portfolio manager."""
    client.force_login(manager)
    return client


def upload(client, content, kind="securities", name="book.csv"):
    raw = content if isinstance(content, bytes) else content.encode()
    return client.post(f"/import/{kind}/", {"file": SimpleUploadedFile(name, raw)})


def preview(client, content, kind="securities"):
    answer = upload(client, content, kind)
    assert answer.status_code == 302
    return answer.url, client.get(answer.url)


def text_of(response):
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return body.decode()


def seen_in(html):
    return re.search(r'name="seen" value="(\w+)"', html)[1]


def test_the_index_lists_every_kind_with_what_the_book_holds(page, book):
    html = text_of(page.get("/import/"))

    for kind in KINDS.values():
        assert f'href="/import/{kind.name}/"' in html
        assert f'href="/export/{kind.name}.csv"' in html


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_a_kind_documents_every_column(page, kind):
    html = text_of(page.get(f"/import/{kind}/"))

    assert all(column.name in html for column in KINDS[kind].columns)


def test_an_upload_leads_to_a_preview_and_changes_nothing(page):
    _, answer = preview(page, SECURITIES)

    assert answer.status_code == 200
    assert "Import 3 changes" in text_of(answer)
    assert not Security.objects.exists()


def test_confirming_imports_the_file_once(page):
    url, answer = preview(page, SECURITIES)

    done = page.post(url, {"seen": seen_in(text_of(answer))}, follow=True)

    assert "Imported securities: 3 new." in text_of(done)
    assert Security.objects.count() == 3
    assert page.get(url).status_code == 404  # a reload or a second click finds nothing left to import


def test_a_file_that_is_in_the_book_already_offers_nothing_to_confirm(page, book):
    html = text_of(preview(page, SECURITIES)[1])

    assert "nothing to import" in html
    assert "seen" not in html


def test_bad_rows_are_shown_with_line_column_and_value_and_cannot_be_confirmed(page, book):
    url, answer = preview(page, "date,ticker,close\n2026-01-09,KELP,NaN\n", kind="prices")

    html = text_of(answer)
    assert answer.status_code == 422
    assert all(part in html for part in (">2<", ">close<", ">NaN<", "write plain digits"))
    assert page.post(url, {"seen": "anything"}).status_code == 404, "it went with its refusal"
    assert Price.objects.count() == 3


def test_a_formula_in_a_name_is_shown_and_kept_as_text(page):
    url, answer = preview(page, 'ticker,name\nA,"=HYPERLINK(""http://x"")<script>"\n')

    html = text_of(answer)
    assert "&lt;script&gt;" in html
    page.post(url, {"seen": seen_in(html)})
    assert Security.objects.get().name == '=HYPERLINK("http://x")<script>'


def test_a_file_of_40_mb_is_refused_in_words_and_not_kept(page, tmp_path):
    answer = upload(page, b"x" * 40 * 2**20)

    assert answer.status_code == 422
    assert "larger than 25 MB" in text_of(answer)
    assert not (tmp_path / "uploads").exists()


@pytest.mark.parametrize("content", [b"", b"ticker,name\nA\n", b"ticker,name\nA,A\nA,B\n"])
def test_of_a_file_that_is_refused_nothing_is_kept(page, tmp_path, content):
    url, answer = preview(page, content)

    assert answer.status_code == 422
    assert list((tmp_path / "uploads").iterdir()) == []
    again = page.get(url)
    assert again.status_code == 404
    assert "Choose the file again" in text_of(again)


def test_so_much_may_wait_of_one_person_and_then_it_is_said_at_the_field(page, tmp_path, settings):
    settings.UPLOADS_MAX_BYTES_PER_PERSON = 2 * len(SECURITIES)
    assert [upload(page, SECURITIES).status_code for _ in range(3)] == [302, 302, 422]
    refused = text_of(upload(page, SECURITIES))
    assert "Files of yours that wait to be confirmed may have" in refused
    assert "Confirm them, or wait a day." in refused
    assert len(list((tmp_path / "uploads").iterdir())) == 2, "what was refused is not kept"


def test_so_much_may_wait_of_all_together(page, person, settings):
    settings.UPLOADS_MAX_BYTES = 2 * len(SECURITIES)
    assert [upload(page, SECURITIES).status_code for _ in range(2)] == [302, 302]
    page.force_login(person("manager", name="other"))
    assert "Files of everybody" in text_of(upload(page, SECURITIES))


def test_what_cannot_be_written_to_its_end_is_not_kept(page, tmp_path, monkeypatch):
    class Broken(SimpleUploadedFile):
        def chunks(self, chunk_size=None):
            yield b"half"
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        uploads.keep(Broken("a.csv", b"half"), kind="prices", by=User.objects.get(), answers={})
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_form_without_a_file_says_so(page):
    answer = page.post("/import/securities/")

    assert answer.status_code == 422
    assert "Choose a file." in text_of(answer)


def test_an_empty_file_is_refused_in_words(page):
    assert "The file is empty." in text_of(preview(page, b"")[1])


def test_if_the_book_changed_after_the_preview_it_is_shown_again(page, load):
    url, answer = preview(page, SECURITIES)
    load("securities", "ticker,name\nKELP,Kelp\n")

    again = page.post(url, {"seen": seen_in(text_of(answer))})

    html = text_of(again)
    assert again.status_code == 409
    assert "The book changed while you were looking" in html
    assert "Import 3 changes" in html
    assert Security.objects.count() == 1
    assert page.post(url, {"seen": seen_in(html)}).status_code == 302
    assert Security.objects.count() == 3


def test_an_upload_belongs_to_who_uploaded_it_and_to_its_kind(page, person):
    url, _ = preview(page, SECURITIES)

    assert page.get(url.replace("securities", "prices")).status_code == 404
    page.force_login(person("manager", name="other"))
    assert page.get(url).status_code == 404


def test_a_forged_token_finds_nothing(page, manager):
    assert page.get("/import/securities/eyJmaWxlIjoiLi4vc2VjcmV0In0:1abc:xyz/").status_code == 404
    with pytest.raises(NotFoundError):
        uploads.find("", kind="securities", by=manager)


def test_uploads_older_than_a_day_are_dropped(page, tmp_path):
    preview(page, SECURITIES)
    (kept,) = (tmp_path / "uploads").iterdir()
    yesterday = time.time() - uploads.KEPT_SECONDS - 1
    os.utime(kept, (yesterday, yesterday))

    preview(page, SECURITIES)

    assert [path != kept for path in (tmp_path / "uploads").iterdir()] == [True]


@pytest.mark.parametrize("path", ["/import/", "/import/prices/", "/import/prices/token/"])
def test_a_viewer_may_not_import_but_may_export(client, viewer, path):
    client.force_login(viewer)

    assert client.get(path).status_code == 403
    assert client.post("/import/prices/").status_code == 403
    assert client.get("/export/prices.csv").status_code == 200


@pytest.mark.parametrize("path", ["/import/", "/import/prices/", "/import/prices/token/", "/export/prices.csv"])
def test_a_stranger_is_sent_to_sign_in(client, path):
    assert client.get(path).url.startswith("/signin/")


@pytest.mark.parametrize("path", ["/import/orders/", "/export/orders.csv"])
def test_an_unknown_kind_is_not_found(page, path):
    assert page.get(path).status_code == 404


def test_an_export_is_a_file_with_a_name_that_the_server_chose(page, book):
    answer = page.get("/export/portfolios.csv")

    assert answer["Content-Disposition"] == 'attachment; filename="ordergen-portfolios.csv"'
    assert text_of(answer).splitlines()[0] == "\ufeffportfolio_id,name,cash"


class WaitsToBeSeen(ImportProgress):
    """Goes on with the rows that it counts only when somebody has read what it counts."""

    def each(self, label, items, total):
        for item in super().each(label, items, total):
            if not self._state[1].wait(10):
                raise AssertionError(f"no bar shows: {label}")
            yield item

    @property
    def doing(self):
        doing, seen = self._state
        seen.set()
        return doing

    @doing.setter
    def doing(self, doing):
        self._state = doing, Event()


@pytest.mark.usefixtures("own_connections")
def test_a_long_import_streams_its_progress_and_then_what_came_of_it(page, monkeypatch):
    monkeypatch.setattr(import_views, "STREAM_FROM_BYTES", 1000)
    monkeypatch.setattr(import_streams, "INTERVAL_SECONDS", 0.001)
    monkeypatch.setattr(import_streams, "ImportProgress", WaitsToBeSeen)
    rows = "".join(f"T{number},Name {number}\n" for number in range(200))

    url, answer = preview(page, f"ticker,name\n{rows}")
    html = flat(text_of(answer))
    assert '<p>Reading rows: 0 of 200</p><progress value="0" max="200" aria-label="Reading rows">' in html
    assert "Import 200 changes" in html

    done = text_of(page.post(url, {"seen": seen_in(html)}))
    assert "Writing rows: " in done
    assert "Imported securities: 200 new." in done
    assert done.rstrip().endswith("</html>")
    assert Security.objects.count() == 200


@pytest.mark.usefixtures("own_connections")
def test_a_long_import_that_came_too_late_says_so(page, load, monkeypatch):
    monkeypatch.setattr(import_views, "STREAM_FROM_BYTES", 10)
    url, answer = preview(page, SECURITIES)
    seen = seen_in(text_of(answer))
    load("securities", "ticker,name\nKELP,Kelp\n")

    assert "The book has changed since" in text_of(page.post(url, {"seen": seen}))
    assert Security.objects.count() == 1


@pytest.mark.usefixtures("own_connections")
def test_a_long_import_that_breaks_says_so_and_is_raised_for_the_log(page, monkeypatch):
    monkeypatch.setattr(import_views, "STREAM_FROM_BYTES", 10)
    url, answer = preview(page, SECURITIES)
    seen = seen_in(text_of(answer))
    monkeypatch.setattr(import_views, "apply_import", lambda *_args, **_kwargs: 1 / 0)

    pieces = []
    with pytest.raises(ZeroDivisionError):
        pieces.extend(page.post(url, {"seen": seen}).streaming_content)

    assert not Security.objects.exists()
