"""What several tests need: the book's pages, one thread, a small data set."""

import hashlib

import nbformat
import pytest
import torch

from srcnn_lib import datasets, images
from tools.notebooks import pages


def pytest_generate_tests(metafunc):
    """A test that asks for `page` runs for each page of the book."""
    if "page" in metafunc.fixturenames:
        found = pages()
        metafunc.parametrize("page", found, ids=[path.stem for path in found])


@pytest.fixture
def notebook(page):
    return nbformat.read(page, as_version=4)


@pytest.fixture
def one_thread():
    """Several processes share the machine, and sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def register(monkeypatch):
    """Make a folder of pictures the data set "Small", for this test."""

    def register(folder):
        blobs = {p.name: p.read_bytes() for p in sorted(folder.iterdir())}
        facts = {name: {"sha256": hashlib.sha256(blob).hexdigest(), "size": len(blob)}
                 for name, blob in blobs.items()}  # fmt: skip
        entry = {"folder": folder.name, "purpose": "test", "what": "photographs",
                 "licence": "a test's", "addresses": [], "files": facts}  # fmt: skip
        entries = datasets.registry() | {"Small": entry}
        monkeypatch.setattr(datasets, "registry", lambda: entries)
        monkeypatch.setenv("SRCNN_DATA", str(folder.parent))

    return register


@pytest.fixture
def school(tmp_path, embedded_only):
    """A folder of training pictures; no data and no network beside it."""
    here = tmp_path / "school"
    here.mkdir()
    photographs = datasets.load("demo-train")
    for name in photographs:
        images.write(here / f"{name}.png", photographs[name][100:180, 100:190])
    return here


@pytest.fixture(scope="session")
def pictures():
    """Crops of photographs; the first and the eleventh will be held out."""
    photographs = datasets.load("demo-train")
    return {k: photographs[k][80:260, 100:300] for k in photographs}


@pytest.fixture
def embedded_only(monkeypatch, tmp_path_factory):
    """As on a machine that has no data and no network."""
    monkeypatch.delenv("SRCNN_DATA", raising=False)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("SRCNN_OFFLINE", "1")
