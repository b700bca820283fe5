"""A socket's file: never in another server's place, never in a file's, and gone afterwards."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rim_runtime.errors import InputError, StorageError
from rim_runtime.testing import fake_engine

from rim_edge.serving import socket_file
from rim_edge.serving.jsonl.run import answer_socket
from rim_edge.serving.limits import Limits
from rim_edge.serving.socket_file import socket_at

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")


def abandoned(file: Path) -> None:
    """Leave a socket's file as a killed server does."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(file))
        left.listen()


def test_what_nobody_listens_at_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "s"
    abandoned(file)
    with socket_at(file) as bound, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(file))
        bound.accept()[0].close()
        assert file.stat().st_mode & 0o777 == 0o600
    assert not file.exists()


def test_one_of_many_that_start_at_once_gets_it(tmp_path: Path) -> None:
    file, over, tried = tmp_path / "s", threading.Event(), threading.Barrier(9)
    abandoned(file)

    def start(_: int) -> bool:
        try:
            with socket_at(file):
                tried.wait(20)
                over.wait(20)
                return True
        except InputError as error:
            assert "A server listens at" in str(error)
            tried.wait(20)
            return False

    with ThreadPoolExecutor(8) as pool:
        started = pool.map(start, range(8))
        tried.wait(20)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(file))
        over.set()
        assert sum(started) == 1


def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    file = tmp_path / "s"
    file.write_text("mine")
    with pytest.raises(InputError, match="is there and no socket, expected a name that is free"), socket_at(file):
        pass
    assert file.read_text() == "mine"
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(InputError, match="is there and no socket"), socket_at(link):
        pass


def test_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot be made .*No such file"), socket_at(tmp_path / "none" / "s"):
        pass
    with pytest.raises(StorageError, match=r"cannot be made .*too long"), socket_at(tmp_path / ("s" * 200)):
        pass


def test_a_successors_socket_is_left_alone(tmp_path: Path) -> None:
    """Somebody removed the first one's file, and started a second server there."""
    file = tmp_path / "s"
    with socket_at(file):
        file.unlink()
        other = tmp_path / "other"
        abandoned(other)  # another inode
        other.replace(file)
    assert file.exists()


def test_a_system_where_asyncio_has_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows."""
    monkeypatch.delattr(asyncio, "start_unix_server")
    with (
        fake_engine() as engine,
        pytest.raises(InputError, match="Leave --socket out: stdin and stdout remain"),
    ):
        answer_socket(engine, Limits(), print, tmp_path / "s")


def test_a_system_without_unix_sockets_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket_file.sockets, "AF_UNIX")
    with pytest.raises(InputError, match="no Unix sockets"), socket_at(tmp_path / "s"):
        pass
