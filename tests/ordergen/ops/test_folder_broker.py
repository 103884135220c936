"""Rubbish in the folder of the embedded broker is set aside and ends nothing."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import time
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from ordergen.ops import folder_broker
from tests.site import Site, descendants, eventually


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    folder = tmp_path / "broker" / "messages"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def channel(messages: Path):
    options = {"data_folder_in": str(messages), "data_folder_out": str(messages)}
    transport = "ordergen.ops.folder_broker:Transport"
    with Connection("filesystem://", transport=transport, transport_options=options) as connection:
        yield connection.default_channel


def _hint(task: str = "solve", body: object = ([1], {}, {}), **headers: object) -> bytes:
    encoded = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps({"body": encoded, "headers": {"task": task, "id": "7"} | headers, "properties": {}}).encode()


RUBBISH = {
    "empty": b"",
    "cut off": _hint()[:40],
    "not JSON": b"\x00\xff",
    "a pickle": pickle.dumps({"body": "x"}),
    "another form": b'{"run": 7}',
    "a number": b"7",
    "too deep": b"[" * 50_000,
    "too long": b" " * (folder_broker.MAX_BYTES + 1),
    "body of no base64": json.dumps({"body": "%", "headers": {"task": "solve", "id": "7"}}).encode(),
    "arguments of another type": _hint(body=(7, {}, {})),
    "a task of another type": _hint(task=["solve"]),  # type: ignore[arg-type]
}


def _fill(folder: Path) -> int:
    """Each kind of rubbish under the name of a message, so that it is met first; how many there are."""
    for n, content in enumerate(RUBBISH.values()):
        (folder / f"{n}_a.celery.msg").write_bytes(content)
    (folder / "0_folder.celery.msg").mkdir()
    (folder / "0_link.celery.msg").symlink_to("/etc/hostname")
    os.mkfifo(folder / "0_pipe.celery.msg")
    (folder / "0_closed.celery.msg").write_bytes(b"")
    (folder / "0_closed.celery.msg").chmod(0)
    (folder / "no message").write_text("")
    return len(RUBBISH) + 5


def _all(channel) -> list[dict]:
    taken = []
    try:
        while True:
            taken.append(channel._get("celery"))
    except Empty:
        return taken


def test_what_is_no_message_is_set_aside_and_the_messages_behind_it_are_read(channel, messages: Path, caplog) -> None:
    n_odd = _fill(messages)
    channel._put("celery", json.loads(_hint()))
    with caplog.at_level(logging.WARNING):
        (taken,) = _all(channel)
    assert taken["headers"]["task"] == "solve"
    assert list(messages.iterdir()) == []
    aside = messages.parent / "set-aside"
    assert len(list(aside.iterdir())) == n_odd
    assert "that are no messages were set aside, first '0_a.celery.msg'" in caplog.text
    assert len(caplog.records) <= 2, "a line for all that was met in one go"


def test_of_a_message_only_task_id_and_arguments_are_believed(channel, messages: Path) -> None:
    odd = {"timelimit": 7, "eta": [], "expires": "never", "stamps": 3, "retries": "many", "shadow": {}}
    (messages / "1_a.celery.msg").write_bytes(_hint(**odd))
    (taken,) = _all(channel)
    assert not odd.keys() & taken["headers"].keys() - {"retries"}
    assert json.loads(base64.b64decode(taken["body"]))[:2] == [[1], {}]


def test_what_is_still_being_written_is_let_be_until_nobody_can_be_at_it(channel, messages: Path) -> None:
    begun = messages / f"1_a.celery.msg{folder_broker._UNFINISHED}"
    begun.write_bytes(b"{")
    assert _all(channel) == []
    assert begun.exists()
    long_ago = time.time() - 2 * folder_broker.UNFINISHED_SECONDS
    os.utime(begun, (long_ago, long_ago))
    assert _all(channel) == []
    assert not begun.exists()


def test_a_folder_full_of_rubbish_is_cleared_in_steps_between_which_other_work_is_done(channel, messages: Path) -> None:
    n = 3 * folder_broker.MAX_SET_ASIDE + 7
    for at in range(n):
        (messages / f"{at}_a.celery.msg").touch()
    with pytest.raises(Empty):
        channel._get("celery")
    assert len(list(messages.iterdir())) == n - folder_broker.MAX_SET_ASIDE
    for _ in range(3):
        assert _all(channel) == []
    assert list(messages.iterdir()) == []


def test_two_who_read_the_same_folder_share_its_messages(channel, messages: Path) -> None:
    for n in range(50):
        channel._put("celery", json.loads(_hint(body=([n], {}, {}))))
    other = channel.connection.create_channel(channel.connection)
    first, second = channel._get("celery"), other._get("celery")
    both = [first, second, *_all(channel), *_all(other)]
    assert sorted(json.loads(base64.b64decode(one["body"]))[0][0] for one in both) == list(range(50))


def test_a_folder_that_is_gone_is_a_broker_without_messages(channel, messages: Path) -> None:
    messages.rmdir()
    assert _all(channel) == []
    messages.rmdir()
    channel._put("celery", json.loads(_hint()))
    assert len(_all(channel)) == 1


@pytest.mark.slow
def test_the_first_message_of_a_new_installation_makes_the_folder(channel, messages: Path) -> None:
    messages.rmdir()
    declared = channel.queue_declare("celery")

    assert declared.message_count == 0
    assert messages.is_dir()


def test_a_worker_lives_on_with_rubbish_in_its_folder_and_does_its_work(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.run("demo", "--once", "--json").returncode == 0
    folder = tmp_path / "broker" / "messages"
    folder.mkdir(parents=True, exist_ok=True)
    n_odd = _fill(folder)
    (folder / "9_unknown.celery.msg").write_bytes(_hint(task="no.such.task"))
    (folder / "9_wrong.celery.msg").write_bytes(_hint(task="solve_chunk", body=({"a": 1}, [], None)))
    worker = site.start("worker")
    try:
        eventually(lambda: len(list((tmp_path / "broker" / "set-aside").glob("*"))) > n_odd, 60)
        before = descendants(worker.pid)
        rebalance = site.run("rebalance", "--model", "Balanced 20", "--json")
        assert rebalance.returncode == 0, rebalance.stderr
        assert worker.poll() is None
        assert set(before) <= set(descendants(worker.pid)), "nobody was ended"
    finally:
        site.stop()
