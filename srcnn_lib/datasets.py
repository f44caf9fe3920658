"""Names → pictures: find, download, check; with an embedded default.

A set is looked for in `$SRCNN_DATA`, which is only read, then in the cache, which is
`$SRCNN_CACHE` or the user's (both hold `Set5/`, `BSDS500/test/`, …), then downloaded to
the cache, unless `SRCNN_OFFLINE=1`.  Packages carry `demo-train` and `demo-test`.  All
facts about the sets, such as addresses and licences, stand in `data/registry.json`.
"""

import functools
import html
import json
import os
import sys
from collections import UserDict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pooch
import requests
from tqdm import tqdm

from . import images


class DataError(Exception):
    """A set that can't be had; the message is one line with the remedy."""


def data_folder() -> Path:
    """The project's `data/`: in the wheel, otherwise in the repository."""
    installed = Path(__file__).parent / "data"
    return installed if installed.is_dir() else installed.parent.parent / "data"


@functools.cache
def registry() -> dict[str, dict]:
    """`data/registry.json`: name → facts about the set and its files."""
    return json.loads((data_folder() / "registry.json").read_text(encoding="utf-8"))


def names() -> list[str]:
    """The names of all sets."""
    return list(registry())


@dataclass(eq=False)
class Dataset(UserDict[str, np.ndarray]):
    """Pictures by name, in sorted order; each is read when it is asked for."""

    name: str
    paths: dict[str, Path] = field(repr=False)
    is_demo: bool = False  # whether embedded photographs are among them
    showcase: str | None = None  # for the figures
    stands_for: str | None = None  # the set whose fallback this one is

    def __post_init__(self) -> None:
        self.data = self.paths = dict(sorted(self.paths.items()))
        self.showcase = self.showcase if self.showcase in self else next(iter(self))

    def __getitem__(self, picture: str) -> np.ndarray:
        return images.read(self.paths[picture])

    __eq__, __hash__ = object.__eq__, object.__hash__  # a dict's would compare arrays


def load(name: str, *, fallback: str | None = None) -> Dataset:
    """Open a set of pictures, downloaded when it is not here.  When it can't be had,
    the set `fallback`, such as "demo-test", is opened; without one it's a DataError."""
    try:
        folder, entry = path(name), registry()[name]
    except DataError:
        if fallback is None or name not in registry():
            raise
        return replace(load(fallback), stands_for=name)
    is_demo = "folder" not in entry
    here = [file for file in entry["files"] if (folder / file).is_file()]
    paths = {_short_name(Path(f).name if is_demo else f): folder / f for f in here}
    return Dataset(name, paths, is_demo, entry.get("showcase"))


def _short_name(file: str) -> str:
    """`baby_GT.bmp` → `baby`, `Set5/x2/baby.png` → `Set5/x2/baby`."""
    return Path(file).with_suffix("").as_posix().removesuffix("_GT")


def from_folder(path: str | os.PathLike, subfolders: bool = False) -> Dataset:
    """Open the pictures of a folder of one's own, and of all folders in it if asked.

    They are named by their paths in it, with the suffix where a name is taken.
    Links are followed, but no folder is entered twice; hidden files are left out.
    """
    root, entered, files, paths = Path(path), set(), [], {}
    for here, inner, found in os.walk(root, followlinks=True):
        is_new = (real := os.path.realpath(here)) not in entered
        entered.add(real)
        inner[:] = [f for f in sorted(inner) if subfolders and is_new and f[0] != "."]
        files += [Path(here, f) for f in found if is_new and f[0] != "."]
    for file in sorted(files):
        if file.suffix.lower() in images.SUFFIXES and file.is_file():
            short = _short_name(name := file.relative_to(root).as_posix())
            paths[name if short in paths else short] = file
    if not paths:
        what = f"holds no pictures ({', '.join(images.SUFFIXES)})"
        raise DataError(f"{root}: {what if root.is_dir() else 'no such folder'}")
    return Dataset(root.resolve().name or str(root), paths)


def gather(names: list[str], fallback: str | None = None) -> Dataset:
    """Sets, and folders with all folders in them, as one; `fallback` as of `load`.
    Of several, the names of pictures begin with the given name."""
    parts = {n: load(n, fallback=fallback) if n in registry() else from_folder(n, True)
             for n in names}  # fmt: skip
    if len(parts) == 1:
        return next(iter(parts.values()))
    paths = {f"{n}/{key}": p for n in parts for key, p in parts[n].paths.items()}
    asked = ", ".join(p.stands_for for p in parts.values() if p.stands_for) or None
    is_demo = any(p.is_demo for p in parts.values())
    return Dataset(", ".join(parts), paths, is_demo, stands_for=asked)


def cache() -> Path:
    """The folder that downloads go to."""
    given = os.environ.get("SRCNN_CACHE")
    return Path(given or pooch.os_cache("srcnn-book")).expanduser()


def _look(name: str, verify: bool = True) -> tuple[Path, list[str], list[str]]:
    """The folder that has most of a set; its good files there, and those it lacks.
    `verify` checks each sha256.  What is installed of an embedded set is the whole."""
    if name not in registry():
        raise DataError(f"no data set {name!r}; choose from {', '.join(names())}")
    folder, files = registry()[name].get("folder", ""), registry()[name]["files"]
    roots = [cache()] if folder else [Path(root) for root in sys.path]
    if folder and (given := os.environ.get("SRCNN_DATA")):
        roots.insert(0, Path(given).expanduser())
        if not roots[0].is_dir():
            raise DataError(f"SRCNN_DATA names {given}, no folder; correct or unset it")

    def is_good(p: Path, sha256: str | None) -> bool:
        return p.is_file() and (not (verify and sha256) or pooch.file_hash(p) == sha256)

    found = {}
    for here in [root / folder for root in roots]:
        found[here] = [f for f in files if is_good(here / f, files[f].get("sha256"))]
    here, good = max(found.items(), key=lambda item: len(item[1]))
    lacking = [f for f in files if f not in good]
    return here, good, lacking if folder or not good else []


def available(name: str) -> bool:
    """Whether a set is here; the network is not asked."""
    return not _look(name)[2]


def path(name: str) -> Path:
    """The folder of a set, downloaded when it is not here; raises DataError."""
    folder, _, lacking = _look(name)
    offline = os.environ.get("SRCNN_OFFLINE", "0") not in ("", "0")
    if lacking and offline and "folder" in registry()[name]:
        why = f"{folder / lacking[0]} is missing or damaged, and SRCNN_OFFLINE is set"
        raise DataError(f"{name} is not here: {why}; run `srcnn data fetch {name}`")
    return _download(name) if lacking else folder


def fetch(names: str | list[str] | None = None, *, progress: bool = True) -> None:
    """Download what these sets, or all, lack; DataError names the first that fails."""
    names = [names] if isinstance(names, str) else names or registry()
    for name in [name for name in names if not available(name)]:
        _download(name, progress)


def _download(name: str, progress: bool = True) -> Path:
    """Complete a set in the cache; pooch checks each sha256 before it keeps a file."""
    entry, faults = registry()[name], []
    if "folder" not in entry:
        raise DataError(f"{name}: no package carries it; pip install scikit-image")
    folder, files = cache() / entry["folder"], entry["files"]
    known = {file: facts["sha256"] for file, facts in files.items()}
    pooch.get_logger().setLevel("WARNING")
    ask = pooch.HTTPDownloader(timeout=(3, 5))  # seconds, to connect and while silent
    for address in entry["addresses"]:
        odd = {f: address + k["remote"] for f, k in files.items() if "remote" in k}
        box = pooch.create(folder, address, registry=known, urls=odd, retry_if_failed=1)
        get = functools.partial(box.fetch, downloader=ask)
        try:
            for file in files:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
            get(next(iter(files)))  # alone: a dead network is found out soon
            with ThreadPoolExecutor(8) as pool:
                done = pool.map(get, files)
                for path in tqdm(done, name, len(files), disable=not progress):
                    os.chmod(path, 0o644)  # others may use this cache
            return folder
        except (requests.ConnectionError, requests.Timeout):
            faults.append(f"no answer from {address}")
        except (OSError, ValueError) as error:
            faults.append(str(error).split("] ")[-1])  # without "[Errno 28]"
    again = f"run `srcnn data fetch {name}` again, or set SRCNN_CACHE or SRCNN_DATA"
    raise DataError(f"{name} is not here: {'; '.join(faults)}; {again}")


Status = namedtuple("Status", "name where present total megabytes licence purpose")


def status(*, verify: bool = False) -> list[Status]:
    """What is here, a row per set; `verify` counts only files with the right sha256."""
    rows = []
    for name, entry in registry().items():
        (folder, found, _), files = _look(name, verify), entry["files"]
        where = str(folder) if found else "not here"
        megabytes = round(sum(f.get("size", 0) for f in files.values()) / 1e6, 1)
        counts = len(found), len(files), megabytes
        rows.append(Status(name, where, *counts, entry["licence"], entry["purpose"]))
    return rows


class Notice(str):
    """A visible box on a page."""

    def _repr_html_(self) -> str:
        style = "border-left: 0.3rem solid #e69f00; padding: 0.6rem 1rem"
        text = f"<strong>Demo pictures.</strong> {html.escape(self)}"
        return f'<div class="srcnn-demo-note" role="note" style="{style}">{text}</div>'


def notice(*datasets: Dataset) -> Notice | None:
    """A box that says which data a page rests on; None if none is a demo."""
    demos = {dataset.name: dataset for dataset in datasets if dataset.is_demo}
    asked = list(dict.fromkeys(d.stands_for for d in datasets if d.stands_for))
    held = "; ".join(f"{name}: {', '.join(demo)}" for name, demo in demos.items())
    text = Notice(
        f"The numbers on this page rest on embedded demo photographs ({held}), not on "
        f"{' and '.join(asked) or 'the sets of the paper'}. For the real data run "
        f"`{' '.join(['srcnn data fetch', *asked])}` or set SRCNN_DATA, then run again."
    )
    return text if demos else None
