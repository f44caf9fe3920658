"""Files are written whole or not at all, and what stands there is respected."""

import errno
import os
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from srcnn_lib import images
from srcnn_lib.files import write_atomically


def test_all_or_nothing(tmp_path, monkeypatch):
    path, previous = tmp_path / "new/folder/a", tmp_path / "new/folder/old"
    write_atomically(path, b"first")
    path.chmod(0o604)
    write_atomically(path, b"second", previous)
    assert path.stat().st_mode & 0o777 == 0o604
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "fsync", Mock(side_effect=full))
    with pytest.raises(OSError, match="a: can't be written .No space"):
        write_atomically(path, b"third", previous)
    assert (path.read_bytes(), previous.read_bytes()) == (b"second", b"first")
    assert set(path.parent.iterdir()) == {path, previous}


def test_a_link_is_followed(tmp_path):
    target, link = tmp_path / "to.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    images.write(link, np.zeros((2, 3), np.uint8))
    assert link.is_symlink() and images.read(target).shape == (2, 3)
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_fifo_and_a_device_are_written_into(tmp_path):
    fifo, device, got = tmp_path / "fifo.png", tmp_path / "device", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    images.write(fifo, np.zeros((2, 3), np.uint8))
    reader.join(10)
    assert got[0].startswith(b"\x89PNG") and fifo.is_fifo()
    with suppress(OSError):  # only root may make a device, and not everywhere
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))  # as /dev/null is
        device.write_bytes(b"")
        got.append("device")
    if "device" in got:
        write_atomically(device, b"gone")
        assert device.is_char_device()


def test_a_folder_and_a_socket_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's address is short
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind("socket")
        for name in ("folder", "socket", "file/inside"):
            with pytest.raises(OSError, match=f"^{name}: can't be written.*folder"):
                write_atomically(Path(name), b"new")
    assert {p.name for p in tmp_path.iterdir()} == {"folder", "socket", "file"}
