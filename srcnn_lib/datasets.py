"""Names → pictures: find, download, check; with an embedded default.

A set is looked for in `$SRCNN_DATA`, then in the cache, then it is downloaded into the
cache; both folders are laid out alike (`Set5/`, `BSDS500/test/`, …).  Installed packages
carry the sets `demo-train` and `demo-test`.  All that is known about a set (files,
sha256, addresses, licence) stands in `data/registry.json`.

SRCNN_DATA : folder that holds the sets; it is only read.
SRCNN_CACHE : where downloads go, in place of the user's cache folder.
SRCNN_OFFLINE : "1" forbids all downloads but `fetch`.
SRCNN_MIRROR : address of a server that holds the same folders; it is asked first.
"""

import functools
import html
import importlib.util
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np
import pooch
import requests
from filelock import FileLock
from tqdm import tqdm

from . import images

THREADS = 8
CONNECT_S, READ_S = 2, 5  # how long a silent server is waited for
RETRIES = 2  # of one file at one address


class DataError(Exception):
    """A set that can't be had; the message is one line with the remedy."""


class NoAnswerError(DataError):
    """No address answers: the network is down, blocked or stalls."""


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


def _entry(name: str) -> dict:
    if name not in registry():
        known = ", ".join(names())
        raise DataError(f"there is no data set {name!r}; choose from {known}")
    return registry()[name]


@dataclass(eq=False, repr=False)
class Dataset(Mapping[str, np.ndarray]):
    """Pictures by name, in sorted order; each is read when it is asked for.

    `dataset["baby"]` is as `images.read` gives it: in the sets uint8, (H, W, 3) or (H, W).

    Attributes
    ----------
    paths : picture name → file.
    origin : "SRCNN_DATA", "cache", "download", "embedded" or "folder".
    showcase : name of the picture that figures show.
    stands_for, reason : the set asked for, where this is its fallback, and why.
    """

    name: str
    paths: dict[str, Path]
    origin: str
    licence: str
    showcase: str | None = None
    stands_for: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        self.paths = dict(sorted(self.paths.items()))
        if self.showcase not in self.paths:
            self.showcase = next(iter(self.paths))

    @property
    def is_demo(self) -> bool:
        """Whether embedded demo photographs are among them."""
        return "embedded" in self.origin

    def __getitem__(self, picture: str) -> np.ndarray:
        return images.read(self.paths[picture])

    def __contains__(self, picture: object) -> bool:
        return picture in self.paths

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self)} pictures from {self.origin}>"

    __eq__, __hash__ = object.__eq__, object.__hash__  # Mapping's compares arrays


def load(name: str, *, fallback: str | None = None) -> Dataset:
    """Open a set of pictures, downloading it when it is not here.

    `fallback` names the set, such as "demo-test", to open when `name` can't be had;
    without it that is a DataError, as an unknown name is.
    """
    entry = _entry(name)
    if not any(file.endswith(images.SUFFIXES) for file in entry["files"]):
        raise DataError(f"{name} holds no pictures; use datasets.path({name!r})")
    try:
        origin, folder = _obtain(name)
    except DataError as error:
        if fallback is None:
            raise
        dataset = load(fallback)
        dataset.stands_for, dataset.reason = name, str(error)
        return dataset
    paths = {_picture_name(file): folder / file for file in entry["files"]}
    if origin == "embedded":
        paths = _embedded(name)
    return Dataset(name, paths, origin, entry["licence"], entry.get("showcase"))


def _picture_name(file: str) -> str:
    """`baby_GT.bmp` → `baby`, `Set5/x2/baby.png` → `Set5/x2/baby`."""
    return PurePath(file).with_suffix("").as_posix().removesuffix("_GT")


def _embedded(name: str) -> dict[str, Path]:
    """Those pictures of an embedded set whose package is installed here.

    The packages are only located: SPORCO's import is slow, `skimage.data` may download.
    """
    found = {}
    for file in _entry(name)["files"]:
        package, _, inner = file.partition("/")
        spec = importlib.util.find_spec(package)
        if spec and spec.origin and (path := Path(spec.origin).parent / inner).is_file():
            found[path.stem] = path
    return found


def from_folder(path: str | os.PathLike, subfolders: bool = False) -> Dataset:
    """Open the pictures of a folder of one's own, and of all folders in it if asked.

    They are named by their paths in it, with the suffix where two would be equal.
    Links are followed, but no folder is entered twice; hidden files are left out.
    """
    root, entered, files = Path(path), set(), {}
    if not root.is_dir():
        what = "not a folder" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}; give the folder that the pictures are in")
    for here, inner, found in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        inner[:] = [f for f in sorted(inner) if subfolders and f[0] != "."]
        if real in entered:
            inner[:] = found = []
        entered.add(real)
        for file in map(Path(here).joinpath, found):
            is_picture = file.suffix.lower() in images.SUFFIXES
            if is_picture and file.name[0] != "." and file.is_file():
                files[file.relative_to(root).as_posix()] = file
    if not files:
        raise DataError(f"{root}: holds no pictures; put {', '.join(images.SUFFIXES)} in")
    count = Counter([*files, *map(_picture_name, files)])
    short = {f: _picture_name(f) for f in files}
    paths = {short[f] if count[short[f]] == 1 else f: files[f] for f in files}
    return Dataset(root.resolve().name or str(root), paths, "folder", "your own pictures")


def gather(names: Iterable[str], fallback: str | None = None) -> Dataset:
    """Sets, and folders with all folders in them, as one.

    Where there are several, the names of pictures begin with their set's.  `fallback`
    is opened when T91, the usual training set, can't be had.
    """
    parts: dict[str, Dataset] = {}
    for name in names:
        if name not in registry():
            parts[name] = from_folder(name, subfolders=True)
        else:
            parts[name] = load(name, fallback=fallback if name == "T91" else None)
    if len(parts) == 1:
        return parts[name]
    count = Counter(part.name for part in parts.values())
    paths = {}
    for given, part in parts.items():
        prefix = part.name if count[part.name] == 1 else given
        paths |= {f"{prefix}/{key}": path for key, path in part.paths.items()}

    def joined(attribute: str) -> str:
        values = [getattr(part, attribute) for part in parts.values()]
        return ", ".join(dict.fromkeys(filter(None, values)))

    facts = map(joined, ("origin", "licence", "showcase", "stands_for", "reason"))
    return Dataset(joined("name"), paths, *facts)


def cache() -> Path:
    """The folder that downloads go to."""
    given = os.environ.get("SRCNN_CACHE")
    return Path(given or pooch.os_cache("srcnn-book")).expanduser()


def _places() -> dict[str, Path]:
    """Origin → folder of sets, in the order in which they are looked at."""
    given = os.environ.get("SRCNN_DATA")
    if not given:
        return {"cache": cache()}
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise DataError(f"SRCNN_DATA names {folder}, no folder; correct or unset it")
    return {"SRCNN_DATA": folder, "cache": cache()}


def _lacking(name: str, root: Path, verify: bool = False) -> list[str]:
    """Files of a set that `root` lacks or has with another size (or sha256)."""
    entry = _entry(name)

    def is_good(file: str, facts: dict) -> bool:
        local = root / entry["folder"] / file
        is_here = local.is_file() and local.stat().st_size == facts["size"]
        return is_here and (not verify or pooch.file_hash(local) == facts["sha256"])

    return [f for f, facts in entry["files"].items() if not is_good(f, facts)]


def available(name: str) -> bool:
    """Whether a set is here; the network is not asked."""
    if "folder" not in _entry(name):
        return bool(_embedded(name))
    return any(not _lacking(name, root) for root in _places().values())


def path(name: str) -> Path:
    """The folder of a set, downloaded when it is not here; raises DataError."""
    if "folder" not in _entry(name):
        use = f"use datasets.load({name!r}).paths"
        raise DataError(f"{name} lies in several packages, not in one folder; {use}")
    return _obtain(name)[1]


def _obtain(name: str) -> tuple[str, Path]:
    """Origin and folder of a set, downloaded if need be."""
    if "folder" not in _entry(name):
        if _embedded(name):
            return "embedded", Path()
        raise DataError(f"{name}: no package carries it; `pip install scikit-image`")
    for origin, root in _places().items():
        if not _lacking(name, root):
            return origin, root / _entry(name)["folder"]
    try:
        if os.environ.get("SRCNN_OFFLINE", "0") not in ("", "0"):
            raise DataError("SRCNN_OFFLINE forbids the download")
        return "download", _download(name)
    except DataError as error:
        looked = ", ".join(f"{origin} ({root})" for origin, root in _places().items())
        raise DataError(
            f"{name} is not here: looked in {looked}; {error}; "
            f"run `srcnn data fetch {name}` or set SRCNN_DATA"
        ) from None


def fetch(
    names: str | Iterable[str] | None = None, *, progress: bool = True
) -> dict[str, Path]:
    """Download the named sets, or all, and verify what is here already.

    Files in the cache whose sha256 is wrong are downloaded again; `$SRCNN_DATA` is
    never written to.

    Returns
    -------
    name → folder; the embedded sets need none and are left out.

    Raises
    ------
    DataError : when a set could not be had; the others are, unless nothing answers.
    """
    names = [names] if isinstance(names, str) else names
    wanted = registry() if names is None else list(names)
    folders, errors = {}, []
    for name in [name for name in wanted if "folder" in _entry(name)]:
        try:
            folders[name] = _fetch(name, progress)
        except DataError as error:
            errors.append(f"{name}: {error}")
            if isinstance(error, NoAnswerError):
                break
    if errors:
        again = "then run `srcnn data fetch` again or set SRCNN_DATA"
        raise DataError(f"{'; '.join(errors)}; {again}")
    return folders


def _fetch(name: str, progress: bool) -> Path:
    root, entry = _places().get("SRCNN_DATA"), _entry(name)
    if root is None or _lacking(name, root):
        return _download(name, verify=True, progress=progress)
    folder = root / entry["folder"]
    for file in _lacking(name, root, verify=True):
        expected, got = entry["files"][file]["sha256"], pooch.file_hash(folder / file)
        raise DataError(
            f"{folder / file}: sha256 expected {expected}, got {got}; replace this file"
        )
    return folder


def _urls(entry: dict) -> dict[str, dict[str, str]]:
    """Address → (file → URL), in the order in which they are asked."""
    remote = {file: facts.get("remote", file) for file, facts in entry["files"].items()}
    bases = {base: remote for base in entry["addresses"]}
    if mirror := os.environ.get("SRCNN_MIRROR"):
        own = {file: f"{entry['folder']}/{file}" for file in remote}
        bases = {mirror.rstrip("/") + "/": own} | bases
    return {b: {f: b + quote(r) for f, r in files.items()} for b, files in bases.items()}


def _download(name: str, verify: bool = False, progress: bool = True) -> Path:
    """Complete a set in the cache, address after address, and return its folder.

    Processes take turns, so that the others find what the first has downloaded.
    """
    root, silent, reasons = cache(), [], []
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".lock"):
            for address, urls in _urls(_entry(name)).items():
                files, host = _lacking(name, root, verify), urlsplit(address).netloc
                if not files or host in silent:
                    continue
                try:
                    _download_files(name, files, urls, root, progress, verify)
                except (requests.ConnectionError, requests.Timeout):
                    silent.append(host)
                except (requests.RequestException, ValueError) as error:
                    reason = str(error).partition(" Deleted download")[0]
                    reasons.append(f"{address}: {reason}")
            files = _lacking(name, root, verify)
    except OSError as error:
        raise DataError(
            f"can't write to the cache {root} ({error.strerror or error}); "
            "set SRCNN_CACHE to a folder that can be written"
        ) from None
    reasons += [f"no answer from {host}; check the network" for host in silent]
    if files:
        kind = DataError if len(reasons) > len(silent) else NoAnswerError
        raise kind("; ".join(reasons))
    return root / _entry(name)["folder"]


def _download_files(
    name: str, files: list[str], urls: dict, root: Path, progress: bool, at_once: bool
) -> None:
    """Download files from one address, side by side; the first failure stops all.

    pooch checks the sha256 before a file gets its name.
    """
    facts, folder = _entry(name)["files"], root / _entry(name)["folder"]
    known = {file: facts[file]["sha256"] for file in files}
    get = pooch.create(folder, base_url="", registry=known, urls=urls)
    ask = pooch.HTTPDownloader(timeout=(CONNECT_S, READ_S))
    pooch.get_logger().setLevel("WARNING")
    bar = tqdm(
        desc=name,
        total=sum(facts[file]["size"] for file in files),
        unit="B",
        unit_scale=True,
        leave=False,
        delay=0 if at_once else 1,
        disable=not progress,
    )

    def fetch(file: str) -> None:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        get.fetch(file, downloader=ask)
        (folder / file).chmod(0o644)  # others may use this cache
        bar.update(facts[file]["size"])

    with bar, ThreadPoolExecutor(THREADS) as pool:
        fetch(files[0])  # alone and once: a dead network is found out soon
        get.retry_if_failed = RETRIES
        tasks = [pool.submit(fetch, file) for file in files[1:]]
        try:
            for task in as_completed(tasks):
                task.result()
        finally:  # also Ctrl-C
            pool.shutdown(cancel_futures=True)


class Status(NamedTuple):
    """A row of `srcnn data status`; `megabytes` is the complete set's size."""

    name: str
    where: str
    present: int
    total: int
    megabytes: float
    licence: str
    purpose: str


def status(*, verify: bool = False) -> list[Status]:
    """What is here, one row per set; `verify` counts files with the right sha256 only.

    The network is not asked.
    """
    return [_status(name, verify) for name in registry()]


def _status(name: str, verify: bool) -> Status:
    entry = _entry(name)
    total = len(entry["files"])
    if "folder" not in entry:
        found = _embedded(name).values()
        size = sum(file.stat().st_size for file in found)
        counts = {"installed packages": len(found)}
    else:
        size = sum(facts["size"] for facts in entry["files"].values())
        counts = {
            str(root / entry["folder"]): total - len(_lacking(name, root, verify))
            for root in _places().values()
        }
    where = max(counts, key=counts.get)
    present, megabytes = counts[where], round(size / 1e6, 1)
    where = where if present else "not here"
    return Status(
        name, where, present, total, megabytes, entry["licence"], entry["purpose"]
    )


class Notice:
    """A visible box on a page, as HTML and as plain text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Note: {self.text}"

    def _repr_html_(self) -> str:
        return (
            '<div class="srcnn-demo-note" role="note" style="border-left: 0.3rem solid '
            '#e69f00; background: #e69f001f; padding: 0.6rem 1rem; margin: 1rem 0">'
            f"<strong>Demo pictures.</strong> {html.escape(self.text)}</div>"
        )


def notice(*datasets: Dataset) -> Notice | None:
    """A box that says which data a page rests on; None if none is a demo."""
    demos = {dataset.name: dataset for dataset in datasets if dataset.is_demo}
    if not demos:
        return None
    held = "; ".join(f"{n}: {', '.join(demos[n])}" for n in demos)
    asked = [d.stands_for for d in datasets if d.is_demo and d.stands_for]
    asked = list(dict.fromkeys(asked))
    return Notice(
        "The numbers on this page rest on the embedded demo photographs "
        f"({held}), not on {' and '.join(asked) or 'the sets of the paper'}. "
        f"For the real data run `{' '.join(['srcnn data fetch', *asked])}` "
        "or set SRCNN_DATA, then run this page again."
    )
