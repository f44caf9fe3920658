"""Names → pictures: find, download, check; with an embedded default.

A set is looked for in `$SRCNN_DATA`, then in the cache, then it is downloaded
into the cache; both folders are laid out alike (`Set5/`, `BSDS500/test/`, …).
The sets `demo-train` and `demo-test` need neither: they are photographs that
installed packages carry.  All that is known about a set (files, sha256,
addresses, licence) stands in `data/registry.json`.

Environment
-----------
SRCNN_DATA : folder that holds the sets; it is only read.
SRCNN_CACHE : where downloads go, in place of the user's cache folder.
SRCNN_OFFLINE : "1" forbids all downloads but `fetch`.
SRCNN_MIRROR : address of another server, such as a classroom's, that holds
    the same folders; it is asked first.
"""

import functools
import html
import importlib.util
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np
import pooch
import requests
from filelock import FileLock
from tqdm import tqdm

from srcnn_lib import images

THREADS = 8
ATTEMPTS = 3  # per file and address
CONNECT_S, READ_S = 3, 5  # how long a silent server is waited for
PROBE_S = 4  # the same for the first question, name look-up included
PAUSE_S = 600  # no automatic download for so long after a dead network


class DataError(Exception):
    """A set that can't be had; the message is one line with the remedy."""


class NoAnswerError(DataError):
    """No address answers: the network is down, blocked or stalls."""


# What there is ------------------------------------------------------------


def data_folder() -> Path:
    """The project's `data/`: in the wheel, otherwise in the repository."""
    package = Path(__file__).parent
    installed = package / "data"
    return installed if installed.is_dir() else package.parent / "data"


@functools.cache
def registry() -> dict[str, dict]:
    """`data/registry.json`: name → facts about the set and its files."""
    text = (data_folder() / "registry.json").read_text(encoding="utf-8")
    return json.loads(text)


def names() -> list[str]:
    """The names of all sets."""
    return list(registry())


def _entry(name: str) -> dict:
    if name not in registry():
        raise DataError(
            f"there is no data set {name!r}; choose from {', '.join(names())}"
        )
    return registry()[name]


def _is_embedded(name: str) -> bool:
    return "folder" not in _entry(name)


# Pictures -----------------------------------------------------------------


class Dataset(Mapping[str, np.ndarray]):
    """Pictures by name, in sorted order; each is read when asked for.

    `dataset["baby"]` is a uint8 array, (H, W, 3) or (H, W), 0…255.

    Attributes
    ----------
    name, licence : str
    paths : dict of picture name → file.
    origin : "SRCNN_DATA", "cache", "download", "embedded" or "folder".
    showcase : name of the picture that figures show.
    is_demo : whether these are the embedded demo photographs.
    stands_for : the set asked for, when this one is its fallback.
    reason : why that set could not be had.
    """

    def __init__(
        self,
        name: str,
        paths: Mapping[str, Path],
        *,
        origin: str,
        licence: str,
        showcase: str | None = None,
    ) -> None:
        self.name = name
        self.paths = dict(sorted(paths.items()))
        self.origin = origin
        self.licence = licence
        known = showcase in self.paths
        self.showcase = showcase if known else next(iter(self.paths))
        self.is_demo = origin == "embedded"
        self.stands_for: str | None = None
        self.reason: str | None = None

    def __getitem__(self, picture: str) -> np.ndarray:
        if picture not in self.paths:
            raise KeyError(f"{self.name} has no picture {picture!r}")
        return images.read(self.paths[picture])

    def __contains__(self, picture: object) -> bool:
        return picture in self.paths

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    # Mapping would compare the arrays, which has no single truth value.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self)} pictures from {self.origin}>"


def load(name: str, *, fallback: str | None = None) -> Dataset:
    """Open a set of pictures, downloading it when it is not here.

    Parameters
    ----------
    name : one of `names()`.
    fallback : a set, such as "demo-test", to open when `name` can't be had.

    Raises
    ------
    DataError : for an unknown name, and when the set can't be had.
    """
    if _is_embedded(name):
        return _embedded(name)
    entry = _entry(name)
    if not any(Path(f).suffix in images.SUFFIXES for f in entry["files"]):
        raise DataError(
            f"{name} holds no pictures; datasets.path({name!r}) is its folder"
        )
    try:
        origin, folder = _obtain(name)
    except DataError as error:
        if fallback is None:
            raise
        dataset = load(fallback)
        dataset.stands_for, dataset.reason = name, str(error)
        return dataset
    return Dataset(
        name,
        {_picture_name(file): folder / file for file in entry["files"]},
        origin=origin,
        licence=entry["licence"],
        showcase=entry.get("showcase"),
    )


def _picture_name(file: str) -> str:
    """`baby_GT.bmp` → `baby`, `Set5/x2/baby.png` → `Set5/x2/baby`."""
    return str(PurePosixPath(file).with_suffix("")).removesuffix("_GT")


def _embedded(name: str) -> Dataset:
    found = _embedded_paths(name)
    if not found:
        raise DataError(
            f"{name}: no installed package carries its pictures; "
            "run `pip install scikit-image`"
        )
    entry = _entry(name)
    return Dataset(
        name,
        found,
        origin="embedded",
        licence=entry["licence"],
        showcase=entry.get("showcase"),
    )


def _embedded_paths(name: str) -> dict[str, Path]:
    """Those pictures of an embedded set whose package is installed here.

    The packages are only located, not imported: SPORCO's import is slow, and
    `skimage.data` might download.
    """
    found = {}
    for file in _entry(name)["files"]:
        package, _, inner = file.partition("/")
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            path = Path(spec.origin).parent / inner
            if path.is_file():
                found[path.stem] = path
    return found


def from_folder(path: str | os.PathLike) -> Dataset:
    """Open the pictures (png jpg jpeg bmp tif tiff) of a folder of one's own.

    They come as `images.read` gives them, which may include alpha or uint16.

    Raises
    ------
    DataError : when it is missing, not a folder, or holds no pictures.
    """
    folder = Path(path)
    if not folder.exists():
        raise DataError(f"{folder}: no such folder; give one that exists")
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder; give the folder it is in")
    files = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in images.SUFFIXES
        and file.is_file()
        and not file.name.startswith(".")
    ]
    if not files:
        raise DataError(
            f"{folder}: holds no pictures; put {', '.join(images.SUFFIXES)} in"
        )
    count = Counter(_picture_name(file.name) for file in files)
    paths = {}
    for file in files:  # a.png and a.jpg keep their suffixes
        short = _picture_name(file.name)
        paths[short if count[short] == 1 else file.name] = file
    return Dataset(
        folder.resolve().name or str(folder),
        paths,
        origin="folder",
        licence="your own pictures",
    )


# Where it is --------------------------------------------------------------


def cache() -> Path:
    """The folder that downloads go to."""
    given = os.environ.get("SRCNN_CACHE")
    return Path(given or pooch.os_cache("srcnn-book")).expanduser()


def path(name: str) -> Path:
    """The folder of a set, downloaded when it is not here.

    Raises
    ------
    DataError : for an unknown or embedded set, and when it can't be had.
    """
    if _is_embedded(name):
        raise DataError(
            f"{name} lies in several packages, not in one folder; "
            f"use datasets.load({name!r}).paths"
        )
    return _obtain(name)[1]


def available(name: str) -> bool:
    """Whether a set is here; the network is not asked."""
    if _is_embedded(name):
        return bool(_embedded_paths(name))
    return _locate(name) is not None


def _places() -> dict[str, Path]:
    """Origin → data folder, in the order in which they are looked at."""
    given = os.environ.get("SRCNN_DATA")
    if not given:
        return {"cache": cache()}
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"SRCNN_DATA names {folder}, which is not a folder; "
            "correct or unset it"
        )
    return {"SRCNN_DATA": folder, "cache": cache()}


def _lacking(name: str, root: Path, verify: bool = False) -> list[str]:
    """Files of a set that are absent from `root` or have a wrong size.

    With `verify` also those with a wrong sha256.
    """
    entry = _entry(name)

    def is_good(file: str, facts: dict) -> bool:
        local = root / entry["folder"] / file
        if not local.is_file() or local.stat().st_size != facts["size"]:
            return False
        return not verify or pooch.file_hash(local) == facts["sha256"]

    return [f for f, facts in entry["files"].items() if not is_good(f, facts)]


def _locate(name: str) -> tuple[str, Path] | None:
    """(origin, folder) of a set that is complete on this machine."""
    for origin, root in _places().items():
        if not _lacking(name, root):
            return origin, root / _entry(name)["folder"]
    return None


def _obtain(name: str) -> tuple[str, Path]:
    """(origin, folder) of a set, downloaded if need be."""
    found = _locate(name)
    if found:
        return found
    try:
        return "download", _download(name, automatic=True)
    except DataError as error:
        looked = ", ".join(f"{o} ({root})" for o, root in _places().items())
        raise DataError(
            f"{name} is not here: looked in {looked}; {error}; "
            f"run `srcnn data fetch {name}` or set SRCNN_DATA"
        ) from None


# Commands -----------------------------------------------------------------


def fetch(
    names: str | Iterable[str] | None = None, *, progress: bool = True
) -> dict[str, Path]:
    """Download the named sets, or all, and verify what is here already.

    What is cut short resumes at the next call.  Files in the cache whose
    sha256 is wrong are downloaded again; `$SRCNN_DATA` is never written to.

    Returns
    -------
    name → folder; the embedded sets need none and are left out.

    Raises
    ------
    DataError : when a set could not be had; the others are, unless no server
        answers.
    """
    names = [names] if isinstance(names, str) else names
    wanted = list(registry() if names is None else names)
    wanted = [name for name in wanted if not _is_embedded(name)]
    folders, errors = {}, []
    for name in wanted:
        try:
            folders[name] = _fetch(name, progress)
        except NoAnswerError as error:
            errors.append(f"{name}: {error}; check the network")
            break
        except DataError as error:
            errors.append(f"{name}: {error}")
    if errors:
        raise DataError(
            f"{'; '.join(errors)}; then run `srcnn data fetch` again "
            "or set SRCNN_DATA"
        )
    return folders


def _fetch(name: str, progress: bool) -> Path:
    root = _places().get("SRCNN_DATA")
    if root is None or _lacking(name, root):
        return _download(name, automatic=False, progress=progress)
    folder = root / _entry(name)["folder"]
    for file in _lacking(name, root, verify=True):
        raise DataError(
            f"{folder / file}: sha256 expected "
            f"{_entry(name)['files'][file]['sha256']}, "
            f"got {pooch.file_hash(folder / file)}; replace this file"
        )
    return folder


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
    """What is here: one row per set; the network is not asked.

    Parameters
    ----------
    verify : count only files with the right sha256, not just the right size.
    """
    return [_status(name, verify) for name in registry()]


def _status(name: str, verify: bool) -> Status:
    entry = _entry(name)
    total = len(entry["files"])
    if _is_embedded(name):
        found = _embedded_paths(name).values()
        where, present = "installed packages", len(found)
        size = sum(file.stat().st_size for file in found)
    else:
        where, present = "not here", 0
        for root in _places().values():
            count = total - len(_lacking(name, root, verify))
            if count > present:
                where, present = str(root / entry["folder"]), count
        size = sum(facts["size"] for facts in entry["files"].values())
    return Status(
        name,
        where,
        present,
        total,
        round(size / 1e6, 1),
        entry["licence"],
        entry["purpose"],
    )


class Notice:
    """A visible box on a page, as HTML and as plain text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Note: {self.text}"

    def _repr_html_(self) -> str:
        return (
            '<div class="srcnn-demo-note" role="note" style="border-left: '
            "0.3rem solid #e69f00; background: rgba(230, 159, 0, 0.12); "
            'padding: 0.6rem 1rem; margin: 1rem 0;">'
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


# Download -----------------------------------------------------------------


def _download(name: str, *, automatic: bool, progress: bool = True) -> Path:
    """Complete a set in the cache and return its folder.

    Processes take turns, so that one downloads and the others find it done,
    or find the note that nothing answered.
    """
    root = cache()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".lock"):
            files = _lacking(name, root, verify=not automatic)
            if files and automatic:
                _check_allowed()
            try:
                if files:
                    _download_files(name, files, root, automatic, progress)
                    _offline_marker().unlink(missing_ok=True)
            except NoAnswerError:
                if automatic:
                    _offline_marker().write_text(str(time.time()))
                raise
    except OSError as error:
        raise DataError(
            f"can't write to the cache {root} ({error.strerror or error}); "
            "set SRCNN_CACHE to a folder that can be written"
        ) from None
    return root / _entry(name)["folder"]


def _offline_marker() -> Path:
    """File that holds when an automatic download last got no answer."""
    return cache() / "offline"


def _check_allowed() -> None:
    if os.environ.get("SRCNN_OFFLINE", "0") not in ("", "0"):
        raise DataError("SRCNN_OFFLINE forbids the download")
    with suppress(OSError, ValueError):
        age_s = time.time() - float(_offline_marker().read_text())
        if 0 <= age_s < PAUSE_S:
            raise DataError(
                f"not downloaded, as nothing answered {age_s / 60:.0f} min ago"
            )


def _download_files(
    name: str, files: list[str], root: Path, automatic: bool, progress: bool
) -> None:
    """Download files of a set side by side; the first failure stops all."""
    entry = _entry(name)
    bases = _answering(entry)
    folder = root / entry["folder"]
    total = sum(entry["files"][file]["size"] for file in files)
    parts = [_part(folder / file) for file in files]
    kept = sum(part.stat().st_size for part in parts if part.exists())
    stop = threading.Event()
    with (
        tqdm(
            desc=name,
            total=total,
            initial=kept,
            unit="B",
            unit_scale=True,
            leave=False,
            delay=1 if automatic else 0,
            disable=not progress,
        ) as bar,
        requests.Session() as session,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        tasks = [
            pool.submit(
                _download_file,
                session,
                [_url(base, entry, file) for base in bases],
                folder / file,
                entry["files"][file]["sha256"],
                entry["files"][file]["size"],
                bar,
                stop,
            )
            for file in files
        ]
        try:
            for task in as_completed(tasks):
                task.result()
        except BaseException:  # Ctrl-C too: the others end at the next chunk
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _url(base: str, entry: dict, file: str) -> str:
    """Address of a file below a base address of its set, or the mirror."""
    remote = entry["files"][file].get("remote", file)
    if base not in entry["addresses"]:
        remote = f"{entry['folder']}/{file}"
    return base + quote(remote)


def _answering(entry: dict) -> list[str]:
    """The base addresses of a set, less those before the first that answers.

    A dead network is found out here, once, and not by every file.
    """
    bases = list(entry["addresses"])
    if mirror := os.environ.get("SRCNN_MIRROR"):
        bases.insert(0, mirror.rstrip("/") + "/")
    dead = []
    while bases and not _answers(bases[0]):
        host = urlsplit(bases[0]).netloc
        dead.append(host or bases[0])
        bases = [b for b in bases if urlsplit(b).netloc != host]
    if not bases:
        raise NoAnswerError(f"no answer from {', '.join(dead)}")
    return bases


def _answers(url: str) -> bool:
    """Whether a server says anything within `PROBE_S` seconds.

    The time-outs of requests leave out the look-up of the name and count for
    each of a server's IP addresses anew; hence the thread.
    """
    heard = []

    def ask() -> None:
        with suppress(requests.RequestException):
            heard.append(requests.head(url, timeout=CONNECT_S))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE_S)
    return bool(heard)


def _part(target: Path) -> Path:
    """Where the bytes of a file gather until it is complete."""
    return target.with_name(target.name + ".part")


def _download_file(
    session: requests.Session,
    urls: list[str],
    target: Path,
    sha256: str,
    size: int,
    bar: tqdm,
    stop: threading.Event,
) -> None:
    """Download one file, address after address, and check it.

    Raises
    ------
    NoAnswerError : when no address has answered to the end.
    DataError : when they answer, but none has the right file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part(target)
    reasons, error_type = [], NoAnswerError
    for url in urls:
        for attempt in range(ATTEMPTS):
            stop.wait(0.2 * attempt)
            try:
                _transfer(session, url, part, size, bar, stop)
                if stop.is_set():
                    return
                got = pooch.file_hash(part)
                if got == sha256:
                    os.replace(part, target)
                    return
                part.unlink()
                reason = f"sha256 expected {sha256}, got {got}"
                error_type = DataError
            except requests.HTTPError as error:
                code = error.response.status_code
                reason = f"HTTP status {code}"
                error_type = DataError
                if code == 416:  # the part is no beginning of this file
                    part.unlink(missing_ok=True)
                elif code < 500:
                    break
            except requests.RequestException as error:
                reason = f"connection lost ({type(error).__name__})"
                if "timed out" in str(error):
                    reason = f"silent for {READ_S} s"
                    break
        reasons.append(f"{url}: {reason}")
    raise error_type(f"{target.name} could not be had: {'; '.join(reasons)}")


def _transfer(
    session: requests.Session,
    url: str,
    part: Path,
    size: int,
    bar: tqdm,
    stop: threading.Event,
) -> None:
    """Append to `part` what it lacks of `size` bytes; start anew if told to.

    pooch downloads from the start each time; hence our own.
    """
    have = part.stat().st_size if part.exists() else 0
    if have >= size or stop.is_set():
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with session.get(
        url, headers=headers, stream=True, timeout=(CONNECT_S, READ_S)
    ) as answer:
        answer.raise_for_status()
        resumes = answer.status_code == 206
        with part.open("ab" if resumes else "wb") as file:
            for chunk in answer.iter_content(1 << 14):
                file.write(chunk)
                bar.update(len(chunk))
                if stop.is_set() or file.tell() > size:
                    return
