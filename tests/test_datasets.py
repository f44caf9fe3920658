"""Data sets: found, downloaded from a server here that misbehaves, or embedded."""

import hashlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pooch
import pytest

from srcnn_lib import datasets, images

ODD = "a (1)/first.png"  # a name that an address must quote


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's `plan` says: (address, file) → list of faults."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        _, base, file = unquote(self.path).split("/", 2)
        self.server.log.append((base, file))
        faults = self.server.plan.get((base, file), [])
        fault = faults.pop(0) if faults else None
        if isinstance(fault, int):
            return self.send_error(fault)
        body = self.server.files["camera.png" if file == "other.png" else file]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "wrong byte":
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.wfile.write(body[: len(body) // 2] if fault in ("cut", "stall") else body)
        if fault == "stall":
            self.server.halfway.set()
            self.server.over.wait(20)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A set "Small" at /one/ and /two/ of a server; there is no other data."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    server.plan, server.log = {}, []
    server.halfway, server.over = threading.Event(), threading.Event()
    demo = datasets.load("demo-test").paths.values()
    server.files = {path.name: path.read_bytes() for path in demo}
    server.files[ODD] = server.files["camera.png"]
    facts = {f: {"sha256": hashlib.sha256(b).hexdigest(), "size": len(b)}
             for f, b in server.files.items()}  # fmt: skip
    facts["camera.png"]["remote"] = "other.png"
    host = f"http://127.0.0.1:{server.server_port}"
    entry = {"folder": "a/small", "purpose": "test", "licence": "for this test",
             "addresses": [f"{host}/one/", f"{host}/two/"], "files": facts}  # fmt: skip
    entries = datasets.registry() | {"Small": entry}
    monkeypatch.setattr(datasets, "registry", lambda: entries)
    for variable in ("SRCNN_DATA", "SRCNN_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    ask = pooch.HTTPDownloader
    monkeypatch.setattr(pooch, "HTTPDownloader", lambda timeout: ask(timeout=0.5))
    yield SimpleNamespace(server=server, entry=entry, folder=tmp_path / "cache/a/small")
    server.over.set()
    server.shutdown()
    server.server_close()


def held(folder):
    """File → content, of all files that a folder holds."""
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*")}
    return {name: p.read_bytes() for name, p in files.items() if p.is_file()}


def fails(words, call, *args, **more):
    """The call's DataError is one line with these words."""
    with pytest.raises(datasets.DataError) as error:
        call(*args, **more)
    assert "\n" not in str(error.value)
    assert not [word for word in words if str(word) not in str(error.value)]


def in_a_process(world, before="pass"):
    """Fetch "Small" in another process."""
    patch = "datasets.registry = lambda: json.loads(sys.argv[1]); datasets.fetch()"
    script = f"{before}; import json, sys; from srcnn_lib import datasets; {patch}"
    command = [sys.executable, "-c", script, json.dumps({"Small": world.entry})]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_load_downloads_once(world, capsys):
    assert not datasets.available("Small")
    dataset = datasets.load("Small", fallback="demo-train")
    assert "Small" in capsys.readouterr().err  # the progress bar
    assert held(world.folder) == world.server.files
    assert all(p.stat().st_mode & 0o777 == 0o644 for p in dataset.paths.values())
    again = datasets.load("Small")
    assert datasets.available("Small") and datasets.path("Small") == world.folder
    assert len(world.server.log) == len(world.server.files)
    assert np.array_equal(again["a (1)/first"], images.read(world.folder / ODD))


@pytest.mark.parametrize("fault", [404, 503, "wrong byte", "cut", "stall"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_fault_is_tried_again_then_the_second_address(world, fault, times):
    for file in ("coffee.png", ODD):
        world.server.plan["one", file] = [fault] * times
    datasets.fetch("Small", progress=False)
    assert held(world.folder) == world.server.files
    assert ("two" in {base for base, _ in world.server.log}) == (times == 2)


@pytest.mark.parametrize("fault", [404, "wrong byte", "cut", "stall"])
def test_a_fault_at_both_addresses(world, fault):
    datasets.fetch(["Small"], progress=False)
    (world.folder / ODD).unlink()
    good, faults = held(world.folder), [fault] * 9
    world.server.plan = {(base, ODD): faults for base in ("one", "two")}
    told = {404: "404", "wrong byte": world.entry["files"][ODD]["sha256"]}
    fails([told.get(fault, ""), "srcnn data fetch Small"], datasets.load, "Small")
    assert len(faults) == 5  # two addresses, two attempts each
    assert held(world.folder) == good


def test_a_dead_network_falls_back(world):
    alive, dead = world.entry["addresses"][1], "http://127.0.0.1:9/"
    world.entry["addresses"] = [dead]
    fails([f"no answer from {dead}"], datasets.fetch, ["Small"])
    dataset = datasets.load("Small", fallback="demo-test")
    assert dataset.is_demo and dataset.stands_for == "Small"
    world.entry["addresses"] += [alive]
    assert not datasets.load("Small", fallback="demo-test").is_demo


def test_a_kill_leaves_no_half_file(world):
    world.server.plan["one", "coffee.png"] = ["stall"]
    process = in_a_process(world)
    assert world.server.halfway.wait(30)
    process.kill()
    process.communicate(timeout=20)
    assert not (world.folder / "coffee.png").exists()
    datasets.fetch("Small", progress=False)
    assert world.server.files.items() <= held(world.folder).items()


def test_a_cache_that_cannot_be_written(world, tmp_path):
    pytest.importorskip("resource")
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))"
    _, said = in_a_process(world, full).communicate(timeout=60)
    assert "DataError: Small is not here" in said and "SRCNN_CACHE" in said
    assert held(world.folder) == {}
    (tmp_path / "cache").rename(tmp_path / "other")
    (tmp_path / "cache").write_text("in the way")
    fails([tmp_path / "cache", "SRCNN_CACHE"], datasets.fetch, "Small")


def test_offline_forbids_automatic_downloads(world, monkeypatch):
    monkeypatch.setenv("SRCNN_OFFLINE", "1")
    words = world.folder / "camera.png", "SRCNN_OFFLINE", "srcnn data fetch Small"
    fails(words, datasets.load, "Small")
    datasets.fetch("Small", progress=False)
    assert datasets.path("Small") == world.folder


def test_srcnn_data_comes_first_and_is_never_written_to(world, monkeypatch, tmp_path):
    datasets.fetch("Small", progress=False)
    (tmp_path / "cache").rename(tmp_path / "mine")
    mine = tmp_path / "mine/a/small"
    monkeypatch.setenv("SRCNN_DATA", str(tmp_path / "mine"))
    assert datasets.path("Small") == mine
    (mine / ODD).write_bytes(bytes(9))
    (*_, row), (*_, verified) = datasets.status(), datasets.status(verify=True)
    assert row.present == row.total == verified.present + 1 == len(held(mine))
    assert row[:2] == ("Small", str(mine)) and row[5:] == ("for this test", "test")
    assert datasets.path("Small") == world.folder
    assert held(world.folder) == world.server.files
    (world.folder / ODD).write_bytes(bytes(9))
    datasets.fetch("Small", progress=False)  # mends the cache
    assert held(world.folder) == world.server.files
    assert (mine / ODD).read_bytes() == bytes(9)


def test_wrong_names(monkeypatch, tmp_path):
    fails(["Set6", *datasets.names()], datasets.load, "Set6", fallback="demo-test")
    fails(["Set6"], datasets.fetch, ["Set5", "Set6"])
    monkeypatch.setenv("SRCNN_DATA", str(tmp_path / "nowhere"))
    fails([tmp_path / "nowhere"], datasets.load, "Set5")
    assert datasets.load("demo-test").is_demo


def test_registry():
    counts = {n: len(e["files"]) for n, e in datasets.registry().items()}
    assert [row.name for row in datasets.status()] == list(counts) == datasets.names()
    assert list(counts.values())[:10] == [91, 5, 14, 200, 200, 100, 57, 8, 2, 1]
    for name, entry in datasets.registry().items():
        assert entry["licence"] and entry["purpose"] and entry["what"]
        addresses, two = entry.get("addresses", []), name in ("T91", "Set5", "Set14")
        assert len(addresses) == (0 if name.startswith("demo-") else 1 + two)
        for file, facts in entry["files"].items():
            assert "licence" in facts or len(facts["sha256"]) == 64
            for address in addresses:
                url = (address + facts.get("remote", file)).split("/")
                assert url[2] == "raw.githubusercontent.com"
                assert len(url[5]) == 40 and int(url[5], 16)  # a commit


def test_embedded_sets_are_disjoint_and_no_test_pictures():
    train, test = datasets.load("demo-train"), datasets.load("demo-test")
    pictures = [*train.values(), *test.values()]
    content = {picture.tobytes() for picture in train.values()}
    assert len(content | {p.tobytes() for p in test.values()}) == len(pictures)
    for picture in pictures:
        assert picture.dtype == np.uint8 and min(picture.shape[:2]) >= 300
        assert picture.shape[2:] in ((), (3,))
    for name in filter(datasets.available, ("Set5", "Set14")):
        theirs = {picture.tobytes() for picture in datasets.load(name).values()}
        assert not theirs & content
        if name == "Set14" and "monarch" in test:
            assert test["monarch"].tobytes() in theirs


def test_packages_that_are_not_installed(monkeypatch, tmp_path):
    skimage = datasets.load("demo-test").paths["camera"].parents[1]
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    fails(["scikit-image"], datasets.load, "demo-test")
    (tmp_path / "skimage").symlink_to(skimage)
    test = datasets.load("demo-test")
    assert list(test) == ["camera", "chelsea", "coffee"] and test.showcase == "camera"
    assert [r.present for r in datasets.status() if r.name == "demo-test"] == [3]


def test_notice(world):
    world.entry["addresses"] = []
    demo = datasets.load("Small", fallback="demo-test")
    box = datasets.notice(demo, datasets.load("demo-train"))
    for words in ("on Small", "srcnn data fetch Small", "demo-test", "demo-train"):
        assert words in repr(box) and words in box._repr_html_()
    assert datasets.notice() is None


def test_folders(tmp_path, world):
    album = tmp_path / "album"
    for name in ("b.PNG", "a_GT.bmp", "c.png", "c.tif", "sea/c.png", ".hid/d.png"):
        (album / name).parent.mkdir(parents=True, exist_ok=True)
        images.write(album / name, np.full((4, 4), len(name), dtype=np.uint8))
    (album / "notes.txt").write_bytes(b"")
    (album / ".hidden.png").write_bytes(b"")
    (album / "gone.png").symlink_to(album / "nowhere")
    (album / "sea/back").symlink_to(album)
    flat, whole = datasets.from_folder(album), datasets.from_folder(album, True)
    assert list(flat) == ["a", "b", "c", "c.tif"]
    assert list(whole) == [*flat, "sea/c"] == list(datasets.gather([str(album)]))
    assert flat.name == "album" and flat.showcase == "a" and not flat.is_demo
    assert flat["c.tif"][0, 0] == len("c.tif") and len({flat, whole}) == 2
    (album / "empty").mkdir()
    fails([album / "empty", ".png"], datasets.from_folder, album / "empty")
    fails([album / "b.PNG", "no such folder"], datasets.from_folder, album / "b.PNG")
    world.entry["addresses"] = []
    both = datasets.gather(["Small", str(album)], fallback="demo-test")
    assert both.is_demo and both.stands_for == "Small" and "Small/camera" in both
    assert both[f"{album}/sea/c"][0, 0] == len("sea/c.png")
    assert len(both) == len(whole) + len(datasets.load("demo-test"))
    fails(["Small"], datasets.gather, ["Small", str(album)])
