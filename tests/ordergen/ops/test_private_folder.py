"""Another user of the machine reads nothing in the folder of an installation."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from ordergen.ops.private_folder import make_private
from tests.site import Site, eventually, free_port

NEIGHBOUR = 65534  # "nobody"


@pytest.fixture(autouse=True)
def _umask():
    """Files are made as on most machines: for everybody to read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def open_site(tmp_path: Path) -> Site:
    """An installation made with everything readable, as it was before this was seen to."""
    site = Site(tmp_path / "home")
    site.home.mkdir(mode=0o755)
    assert site.run("migrate").returncode == 0
    site.home.chmod(0o755)
    for path in site.home.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return site


def _open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if _is_open(path)]


def test_an_open_folder_is_closed_at_the_next_start_and_that_is_said_once_in_one_line(open_site: Site) -> None:
    assert "ordergen.sqlite3" in {path.name for path in open_site.home.iterdir()}
    first, second = (open_site.run("verify") for _ in range(2))
    assert (first.returncode, first.stderr.count("\n")) == (0, 1)
    assert f"{open_site.home} was open to others (0755)" in first.stderr
    assert _open_to_others(open_site.home) == []
    assert second.stderr == ""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_neighbour_on_the_machine_reads_no_file_of_a_running_site(open_site: Site, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/") and folder != Path("/tmp"):
            folder.chmod(0o711)  # the neighbour comes as far as the folder itself
    assert _read_by_neighbour(open_site.home) > 0, "the neighbour could read what was open"
    port = free_port()
    open_site.start("serve", "--port", str(port))
    try:
        eventually(lambda: "listens on" in open_site.log.read_text(), 60)
        eventually((open_site.home / "ordergen.sqlite3-wal").exists, 60)
        assert _read_by_neighbour(open_site.home) == 0
        loose = [str(path) for path in open_site.home.rglob("*") if path != open_site.log and _is_open(path)]
        assert loose == [], "what was made since the start is closed by itself, too"
    finally:
        open_site.stop()


def _is_open(path: Path) -> bool:
    return bool(stat.S_IMODE(path.lstat().st_mode) & 0o077) and not path.is_symlink()


def _read_by_neighbour(folder: Path) -> int:
    """How many files somebody else finds who may read them."""
    command = ["/usr/bin/find", str(folder), "-type", "f", "-readable"]
    found = subprocess.run(command, user=NEIGHBOUR, extra_groups=[], capture_output=True, text=True, check=False)
    return len(found.stdout.splitlines())


def test_what_is_made_later_is_closed_too(tmp_path: Path) -> None:
    make_private(tmp_path / "home")
    made = tmp_path / "home" / "made"
    made.write_text("")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700


def test_a_folder_that_is_everybodys_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(ImproperlyConfigured, match="Give it a folder of its own"):
        make_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    done = Site(tmp_path).run("verify")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Traceback" not in done.stderr


def test_a_group_is_let_in_only_where_a_setting_says_so(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)
    assert make_private(shared, with_group=True) == ""
    assert stat.S_IMODE(shared.stat().st_mode) == 0o770
    assert "was open to others (0770)" in make_private(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o700


def test_links_lead_nowhere_and_programs_stay_programs(tmp_path: Path) -> None:
    outside, home = tmp_path / "outside", tmp_path / "home"
    outside.write_text("")
    home.mkdir()
    (home / "link").symlink_to(outside)
    (home / "program").touch(mode=0o755)
    home.chmod(0o755)
    make_private(home)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert stat.S_IMODE((home / "program").stat().st_mode) == 0o700
