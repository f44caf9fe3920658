"""Data sets: found, downloaded over a real connection, or embedded.

The download tests talk to a server on this machine that misbehaves on
request.  It serves Set5 where the data is here, otherwise the demo
photographs, so that the same path is tested in both worlds.
"""

import hashlib
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

from srcnn_lib import datasets, images

needs_set5 = pytest.mark.skipif(
    not datasets.available("Set5"),
    reason="needs Set5: set SRCNN_DATA or run `srcnn data fetch Set5`",
)
ROOT = Path(__file__).parent.parent
ODD = "a (1)/first.png"  # a name that an address must quote


# A server that misbehaves --------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's `plan` says: path → list of behaviours."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        path = unquote(self.path)
        _, base, file = path.split("/", 2)
        asked = self.headers.get("Range")
        self.server.log.append((base, file, asked))
        plan = self.server.plan.get((base, file), [])
        behaviour = plan.pop(0) if plan else "ok"
        body = self.server.files.get(file)
        if body is None or behaviour == 404:
            return self.send_error(404)
        if behaviour == 503:
            return self.send_error(503)
        first = 0
        if asked and behaviour != "ignore range":
            first = int(asked.removeprefix("bytes=").rstrip("-"))
        if behaviour == "wrong byte":
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.send_response(206 if first else 200)
        if first:
            size = len(body)
            span = f"bytes {first}-{size - 1}/{size}"
            self.send_header("Content-Range", span)
        body = body[first:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if behaviour not in ("cut", "stall"):
            return self.wfile.write(body)
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.server.halfway.set()
        if behaviour == "stall":
            self.server.over.wait(20)
        self.close_connection = True


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.plan, server.log, server.files = {}, [], {}
    server.halfway, server.over = threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def world(server, tmp_path, monkeypatch):
    """A set "Small" of five or fewer files, at /one/ and /two/ of the server.

    `target(file)` is where a file belongs, `asked(file)` its requests.
    """
    name = "Set5" if datasets.available("Set5") else "demo-test"
    for path in datasets.load(name).paths.values():
        server.files[path.name] = path.read_bytes()
    server.files[ODD] = next(iter(server.files.values()))
    facts = {
        file: {"sha256": hashlib.sha256(b).hexdigest(), "size": len(b)}
        for file, b in server.files.items()
    }
    host = f"http://127.0.0.1:{server.server_port}"
    entry = {
        "folder": "folder/small",
        "purpose": "test",
        "what": "a few photographs",
        "licence": "for this test",
        "addresses": [f"{host}/one/", f"{host}/two/"],
        "files": facts,
    }
    entries = datasets.registry() | {"Small": entry}
    monkeypatch.setattr(datasets, "registry", lambda: entries)
    for variable in ("SRCNN_DATA", "SRCNN_OFFLINE", "SRCNN_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(datasets, "READ_S", 0.5)
    folder = tmp_path / "cache" / "folder/small"
    return SimpleNamespace(
        server=server,
        host=host,
        entry=entry,
        entries=entries,
        folder=folder,
        file=next(iter(facts)),
        target=lambda file: folder / file,
        part=lambda file: folder / f"{file}.part",
        asked=lambda file: [(b, r) for b, f, r in server.log if f == file],
    )


def assert_whole(world):
    """Every file is under its final name, right, and nothing else is."""
    found = {
        p.relative_to(world.folder).as_posix(): p.read_bytes()
        for p in world.folder.rglob("*")
        if p.is_file()
    }
    assert found == world.server.files


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def closed_address():
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


# Download ------------------------------------------------------------------


def test_load_downloads_once(world):
    assert not datasets.available("Small")
    dataset = datasets.load("Small")
    assert dataset.origin == "download"
    assert_whole(world)
    assert len(world.server.log) == len(world.server.files)
    again = datasets.load("Small")
    assert again.origin == "cache"
    assert len(world.server.log) == len(world.server.files)
    np.testing.assert_array_equal(
        again["a (1)/first"], images.read(world.target(ODD))
    )


def test_a_cut_download_resumes_where_it_stopped(world):
    world.server.plan["one", world.file] = ["cut"]
    datasets.fetch("Small", progress=False)
    (_, first), (base, second) = world.asked(world.file)
    size = len(world.server.files[world.file])
    assert first is None and base == "one"
    begin = int(second.removeprefix("bytes=").rstrip("-"))
    assert 0.4 * size < begin <= size // 2
    assert_whole(world)


def test_resumes_in_a_later_call(world):
    body = world.server.files[world.file]
    world.folder.mkdir(parents=True)
    world.part(world.file).write_bytes(body[:1000])
    datasets.fetch("Small", progress=False)
    assert world.asked(world.file) == [("one", "bytes=1000-")]
    assert_whole(world)


def test_starts_anew_when_the_server_ignores_range(world):
    world.server.plan["one", world.file] = ["cut", "ignore range"]
    datasets.fetch("Small", progress=False)
    assert len(world.asked(world.file)) == 2
    assert_whole(world)


def test_a_part_of_something_else_heals(world):
    world.folder.mkdir(parents=True)
    world.part(world.file).write_bytes(b"x" * 1000)
    datasets.fetch("Small", progress=False)
    assert [r for _, r in world.asked(world.file)] == ["bytes=1000-", None]
    assert_whole(world)


def test_404_goes_to_the_second_address(world):
    world.server.plan["one", world.file] = [404]
    datasets.fetch("Small", progress=False)
    assert world.asked(world.file) == [("one", None), ("two", None)]
    assert_whole(world)


def test_404_everywhere(world):
    world.server.plan["one", world.file] = [404]
    world.server.plan["two", world.file] = [404]
    with pytest.raises(datasets.DataError) as error:
        datasets.fetch("Small", progress=False)
    text = one_line(error)
    assert "Small" in text and Path(world.file).name in text
    assert f"{world.host}/one/" in text and f"{world.host}/two/" in text
    assert "404" in text and "srcnn data fetch" in text


def test_503_is_tried_again(world):
    world.server.plan["one", world.file] = [503, 503]
    datasets.fetch("Small", progress=False)
    assert [base for base, _ in world.asked(world.file)] == ["one"] * 3
    assert_whole(world)


def test_wrong_byte_is_discarded_and_told(world):
    datasets.fetch("Small", progress=False)
    world.target(world.file).unlink()
    good = {p: p.stat().st_mtime_ns for p in world.folder.rglob("*.*")}
    for base in ("one", "two"):
        world.server.plan[base, world.file] = ["wrong byte"] * 9
    body = world.server.files[world.file]
    wrong = body[:-1] + bytes([body[-1] ^ 1])
    with pytest.raises(datasets.DataError) as error:
        datasets.load("Small")
    text = one_line(error)
    assert f"expected {hashlib.sha256(body).hexdigest()}" in text
    assert f"got {hashlib.sha256(wrong).hexdigest()}" in text
    assert world.file in text and f"{world.host}/one/" in text
    assert "srcnn data fetch Small" in text and "SRCNN_DATA" in text
    assert {p: p.stat().st_mtime_ns for p in world.folder.rglob("*.*")} == good
    assert not (datasets.cache() / "offline").exists()
    world.server.plan.clear()
    datasets.fetch("Small", progress=False)
    assert_whole(world)


def test_wrong_byte_at_one_address_only(world):
    world.server.plan["one", world.file] = ["wrong byte"] * 9
    datasets.fetch("Small", progress=False)
    assert_whole(world)


def test_stall_ends_and_leaves_only_a_part(world):
    for base in ("one", "two"):
        world.server.plan[base, world.file] = ["stall"] * 9
    begin = time.monotonic()
    with pytest.raises(datasets.DataError, match="silent for"):
        datasets.load("Small")
    assert time.monotonic() - begin < 5
    assert not world.target(world.file).exists()
    size = len(world.server.files[world.file])
    assert 0 < world.part(world.file).stat().st_size < size
    assert (datasets.cache() / "offline").exists()


def test_fetch_mends_a_file_in_the_cache(world):
    datasets.fetch("Small", progress=False)
    body = world.server.files[world.file]
    world.target(world.file).write_bytes(bytes(len(body)))
    (row,) = (r for r in datasets.status() if r.name == "Small")
    assert row.present == row.total
    (row,) = (r for r in datasets.status(verify=True) if r.name == "Small")
    assert row.present == row.total - 1
    assert row.licence == "for this test"
    assert datasets.fetch(["Small"], progress=False) == {"Small": world.folder}
    assert_whole(world)


def test_progress_bar_counts_bytes(world, capsys):
    datasets.fetch("Small")
    shown = capsys.readouterr().err
    assert "Small" in shown and "B/s" in shown


def test_mirror_is_asked_first(world, monkeypatch):
    files = world.server.files
    for file in list(files):
        files[f"folder/small/{file}"] = files.pop(file)
    monkeypatch.setenv("SRCNN_MIRROR", f"{world.host}/class")
    datasets.fetch("Small", progress=False)
    assert {base for base, _, _ in world.server.log} == {"class"}


def test_remote_names(world):
    facts = world.entry["files"][world.file]
    facts["remote"] = "elsewhere/img_001.png"
    world.server.files["elsewhere/img_001.png"] = world.server.files.pop(
        world.file
    )
    datasets.fetch("Small", progress=False)
    assert world.target(world.file).is_file()


def test_a_dead_first_host_costs_nothing(world):
    world.entry["addresses"][0] = closed_address()
    datasets.fetch("Small", progress=False)
    assert_whole(world)


def test_dead_network_is_noticed_once(world, monkeypatch):
    """A door that shuts in everyone's face; how often do we knock?"""
    knocks = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def shut():
            while True:
                try:
                    visitor, _ = door.accept()
                except OSError:
                    return
                knocks.append(visitor)
                visitor.close()

        threading.Thread(target=shut, daemon=True).start()
        address = f"http://127.0.0.1:{door.getsockname()[1]}/"
        world.entries["Other"] = world.entry | {"folder": "other"}
        good = world.entry["addresses"][:]
        world.entry["addresses"][:] = [address + "one/", address + "two/"]

        dataset = datasets.load("Small", fallback="demo-test")
        assert dataset.is_demo and dataset.stands_for == "Small"
        assert (datasets.cache() / "offline").exists()
        for name in ("Small", "Other"):
            with pytest.raises(datasets.DataError) as error:
                datasets.path(name)
            assert f"srcnn data fetch {name}" in one_line(error)
        assert len(knocks) == 1

        with pytest.raises(datasets.DataError) as error:
            datasets.fetch("Small", progress=False)
        assert "check the network" in one_line(error)
        assert len(knocks) == 2
        door.shutdown(socket.SHUT_RDWR)

    world.entry["addresses"][:] = good
    datasets.fetch("Small", progress=False)
    assert not (datasets.cache() / "offline").exists()
    assert datasets.load("Other").origin == "download"


def test_an_old_marker_is_forgotten(world):
    marker = datasets.cache() / "offline"
    marker.parent.mkdir(parents=True)
    marker.write_text(str(time.time() - datasets.PAUSE_S - 1))
    assert datasets.load("Small").origin == "download"
    assert not marker.exists()


def test_offline_forbids_automatic_downloads(world, monkeypatch):
    monkeypatch.setenv("SRCNN_OFFLINE", "1")
    with pytest.raises(datasets.DataError, match="SRCNN_OFFLINE"):
        datasets.load("Small")
    assert world.server.log == []
    datasets.fetch("Small", progress=False)
    assert datasets.load("Small").origin == "cache"


def test_two_at_once_download_once(world):
    loads = [
        threading.Thread(target=datasets.load, args=("Small",))
        for _ in range(3)
    ]
    for thread in loads:
        thread.start()
    for thread in loads:
        thread.join()
    assert_whole(world)
    assert len(world.server.log) == len(world.server.files)


def test_ctrl_c_leaves_only_resumable_parts(world):
    world.server.plan["one", world.file] = ["stall"]
    script = (
        "import json, sys\n"
        "from srcnn_lib import datasets\n"
        "entries = json.loads(sys.argv[1])\n"
        "datasets.registry = lambda: entries\n"
        "datasets.fetch('Small', progress=False)\n"
    )
    entries = json.dumps({"Small": world.entry})
    process = subprocess.Popen(
        [sys.executable, "-c", script, entries],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and so these tests, may ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert world.server.halfway.wait(20)
    others = [f for f in world.server.files if f != world.file]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if all(world.target(file).is_file() for file in others):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    world.server.over.set()
    _, stderr = process.communicate(timeout=20)
    assert process.returncode != 0 and "KeyboardInterrupt" in stderr
    assert not world.target(world.file).exists()
    kept = world.part(world.file).stat().st_size
    assert kept > 0
    datasets.fetch("Small", progress=False)
    assert world.asked(world.file)[-1] == ("one", f"bytes={kept}-")
    assert_whole(world)


def test_a_cache_that_is_a_file(world, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(datasets.DataError) as error:
        datasets.fetch("Small", progress=False)
    assert "SRCNN_CACHE" in one_line(error)


# Where a set is found ------------------------------------------------------


def test_srcnn_data_comes_first(world, monkeypatch, tmp_path):
    datasets.fetch("Small", progress=False)
    mine = tmp_path / "mine"
    (datasets.cache() / "folder").rename(mine.parent / "folder")
    mine.mkdir()
    (mine.parent / "folder").rename(mine / "folder")
    monkeypatch.setenv("SRCNN_DATA", str(mine))
    assert datasets.load("Small").origin == "SRCNN_DATA"
    assert datasets.path("Small") == mine / "folder/small"

    wrong = mine / "folder/small" / world.file
    body = wrong.read_bytes()
    wrong.write_bytes(bytes(len(body)))
    with pytest.raises(datasets.DataError) as error:
        datasets.fetch("Small", progress=False)
    assert str(wrong) in one_line(error)
    assert hashlib.sha256(body).hexdigest() in one_line(error)

    wrong.unlink()  # incomplete: the cache, then the download, step in
    assert datasets.load("Small").origin == "download"
    assert not wrong.exists()


def test_srcnn_data_that_does_not_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("SRCNN_DATA", str(tmp_path / "nowhere"))
    for call in (datasets.load, datasets.path, datasets.available):
        with pytest.raises(datasets.DataError) as error:
            call("Set5")
        assert str(tmp_path / "nowhere") in one_line(error)
    assert datasets.load("demo-test").is_demo


def test_unknown_name():
    with pytest.raises(datasets.DataError) as error:
        datasets.load("Set6")
    text = one_line(error)
    assert all(name in text for name in ("Set6", *datasets.names()))
    with pytest.raises(datasets.DataError, match="Set6"):
        datasets.fetch(["Set5", "Set6"])


def test_pictures_and_folders_are_not_mixed_up():
    with pytest.raises(datasets.DataError, match="holds no pictures"):
        datasets.load("srcnn-official")
    with pytest.raises(datasets.DataError, match="several packages"):
        datasets.path("demo-train")


# The registry --------------------------------------------------------------


def test_registry_is_complete():
    assert datasets.names() == [
        *("T91", "Set5", "Set14", "BSD200", "BSDS500-train", "BSDS500-val"),
        *("matlab-lr", "srcnn-official", "scsr-official", "zeyde-official"),
        *("demo-train", "demo-test"),
    ]
    counts = {n: len(e["files"]) for n, e in datasets.registry().items()}
    assert list(counts.values())[:10] == [
        *(91, 5, 14, 200, 200, 100, 57, 8, 2, 1)
    ]
    for entry in datasets.registry().values():
        assert entry["licence"] and entry["purpose"] and entry["what"]
        for facts in entry["files"].values():
            assert "licence" in facts or len(facts["sha256"]) == 64


def test_addresses_are_pinned_and_quoted():
    raw = "https://raw.githubusercontent.com/"
    for name, entry in datasets.registry().items():
        if name.startswith("demo-"):
            continue
        count = 2 if name in ("T91", "Set5", "Set14") else 1
        assert len(entry["addresses"]) == count
        for base in entry["addresses"]:
            for file in entry["files"]:
                url = datasets._url(base, entry, file)
                assert url.startswith(raw)
                commit = url.removeprefix(raw).split("/")[2]
                assert len(commit) == 40 and int(commit, 16)
                assert " " not in url and "(" not in url
    entry = datasets.registry()["matlab-lr"]
    url = datasets._url(entry["addresses"][0], entry, "Set5/x3/woman.png")
    assert url.endswith("/data/Set5/image_SRF_3/img_005_SRF_3_LR.png")


@pytest.mark.parametrize("name", datasets.names()[:10])
def test_files_here_have_the_registered_sha256(name):
    if not datasets.available(name):
        pytest.skip(f"needs {name}: set SRCNN_DATA or `srcnn data fetch`")
    folder = datasets.path(name)
    for file, facts in datasets.registry()[name]["files"].items():
        body = (folder / file).read_bytes()
        assert hashlib.sha256(body).hexdigest() == facts["sha256"], file


def test_status_has_a_row_per_set():
    rows = datasets.status()
    assert [row.name for row in rows] == datasets.names()
    assert all(row.licence for row in rows)
    for row in rows:
        whole = row.present == row.total
        assert row.name.startswith("demo-") or (
            whole == datasets.available(row.name)
        )


# The sets ------------------------------------------------------------------


@needs_set5
def test_set5():
    set5 = datasets.load("Set5")
    assert list(set5) == ["baby", "bird", "butterfly", "head", "woman"]
    assert set5.showcase == "butterfly"
    assert not set5.is_demo and datasets.notice(set5) is None
    assert set5["butterfly"].shape == (256, 256, 3)
    assert set5["butterfly"].dtype == np.uint8
    assert "lenna" not in set5
    with pytest.raises(KeyError, match="lenna"):
        set5["lenna"]


def test_embedded_sets_load_and_are_disjoint(monkeypatch, tmp_path):
    monkeypatch.delenv("SRCNN_DATA", raising=False)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path))
    train, test = datasets.load("demo-train"), datasets.load("demo-test")
    assert train.is_demo and test.is_demo
    assert not set(train.paths.values()) & set(test.paths.values())
    digests = [
        hashlib.sha256(picture.tobytes()).hexdigest()
        for dataset in (train, test)
        for picture in dataset.values()
    ]
    assert len(set(digests)) == len(train) + len(test)
    for dataset in (train, test):
        for name, picture in dataset.items():
            assert picture.dtype == np.uint8, name
            assert picture.ndim == 2 or picture.shape[2] == 3, name
            assert min(picture.shape[:2]) >= 300, name
    assert list(tmp_path.iterdir()) == []


def test_scikit_image_alone_gives_both_sets(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: find_spec(name) if name == "skimage" else None,
    )
    train, test = datasets.load("demo-train"), datasets.load("demo-test")
    assert len(train) >= 5 and "astronaut" in train
    assert list(test) == ["camera", "chelsea", "coffee"]
    assert test.showcase == "camera"


def test_demo_monarch_is_set14s():
    test = datasets.load("demo-test")
    if "monarch" not in test or not datasets.available("Set14"):
        pytest.skip("needs SPORCO and Set14")
    assert test.showcase == "monarch"
    np.testing.assert_array_equal(
        test["monarch"], datasets.load("Set14")["monarch"]
    )


def test_demo_train_shares_no_picture_with_the_test_sets():
    train = datasets.load("demo-train")
    for name in ("Set5", "Set14"):
        facts = datasets.registry()[name]["files"]
        assert not set(train) & {datasets._picture_name(f) for f in facts}
        if datasets.available(name):
            held = {p.tobytes() for p in datasets.load(name).values()}
            assert not held & {p.tobytes() for p in train.values()}


def test_notice():
    demo = datasets.load("demo-test")
    demo.stands_for = "Set5"
    box = datasets.notice(demo, datasets.load("demo-train"))
    assert "not on Set5" in repr(box)
    assert "srcnn data fetch Set5" in repr(box)
    assert "demo-test" in repr(box) and "demo-train" in repr(box)
    assert 'class="srcnn-demo-note"' in box._repr_html_()
    assert datasets.notice() is None


# A folder of one's own -----------------------------------------------------


def test_from_folder(tmp_path):
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for name in ("b.PNG", "a_GT.bmp", "c.png", "c.tif", ".hidden.png"):
        images.write(tmp_path / name, picture)
    (tmp_path / "notes.txt").write_text("no picture")
    dataset = datasets.from_folder(tmp_path)
    assert list(dataset) == ["a", "b", "c.png", "c.tif"]
    assert dataset.name == tmp_path.name and dataset.origin == "folder"
    assert not dataset.is_demo and dataset.showcase == "a"
    np.testing.assert_array_equal(dataset["c.tif"], picture)


def test_from_folder_errors(tmp_path):
    file = tmp_path / "file.png"
    file.write_bytes(b"")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, words in (
        (tmp_path / "missing", "no such folder"),
        (file, "not a folder"),
        (empty, "holds no pictures"),
    ):
        with pytest.raises(datasets.DataError, match=words) as error:
            datasets.from_folder(path)
        assert str(path) in one_line(error)
