"""Training folders of any size: an index, and pictures in rounds.

A folder is indexed once: the name, height and width of every picture, from
the headers of the files.  What fits in memory is then read whole.  Anything
larger streams: training goes by rounds of `ROUND` pictures, of each a random
crop; while one round trains, worker processes read the next.  Which pictures
and which crops a round has depends on the seed and its number alone, so that
a run that was stopped can go on anywhere.

Worker processes import this module and what it imports, so PyTorch must stay
out of it.
"""

import array
import contextlib
import filecmp
import hashlib
import io
import math
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from . import images
from .resize import bicubic, imresize

#: Pictures in a round, the sub-images that are drawn per picture of a round,
#: and the width in pixels of what is cut out of a picture.
ROUND, PER_PICTURE, CROP = 256, 64, 192
#: Bytes of pictures, at 8 a pixel, up to which all are kept in memory; what
#: is made of them takes some times as much.
MEMORY = 250_000_000
#: Larger pictures are left out: each worker decodes one at a time, whole.
MEGAPIXELS = 50
#: Indexes of so many pictures are kept in the cache.
KEPT = 1_000
#: Held out of a folder for validation: every tenth picture, at most so many.
HELD_OUT = 100

#: Why the index leaves a picture out; 0 is a good one.
REASONS = (
    "",
    "not a picture that can be read",
    "no permission to read it, or a broken link",
    "more than 8 bits per channel; save it with 8",
    "has transparency; save it without",
    f"more than {MEGAPIXELS} megapixels; cut it up",
    "smaller than {size}×{size} pixels, the width of a sub-image",
)
_UNREADABLE, _FORBIDDEN, _DEEP, _ALPHA, _LARGE, _SMALL = range(1, 7)


def tenths(zoom: float) -> range:
    """10, 9, … down to the tenths of their size that pictures come in."""
    return range(10, math.ceil(round(10 * zoom, 6)) - 1, -1)


class StreamError(ValueError):
    """Pictures that can't be trained on; the message is one line."""


def pair(
    image: np.ndarray, scale: int, colour: str = "y"
) -> tuple[np.ndarray, np.ndarray]:
    """What the network is given, and what it should give back.

    Parameters
    ----------
    image : uint8, grey (H, W) or RGB (H, W, 3).
    scale : magnification.
    colour : see `images.planes`.

    Returns
    -------
    Bicubic input and luma, both float32 in 0…1 and mod-cropped to (H', W');
    or three planes each, (H', W', 3).
    """
    hr_y = images.modcrop(images.planes(image, colour), scale) / 255.0
    lr_y = imresize(hr_y, 1 / scale)
    return bicubic(lr_y, scale).astype(np.float32), hr_y.astype(np.float32)


# The index ----------------------------------------------------------------


class Index:
    """The pictures below a folder, by what their headers say.

    Arrays rather than objects: a million pictures take about 100 MB.

    Attributes
    ----------
    root : Path; names are relative to it.
    names, ends : all names in one string of bytes, and where each ends.
    size, changed : int64 (N,), of the files, in bytes and nanoseconds.
    height, width : int32 (N,), in pixels; 0 where there is a reason.
    reason : uint8 (N,), an index into `REASONS`.
    """

    ARRAYS = ("names", "ends", "size", "changed", "height", "width", "reason")

    def __init__(self, root: Path, files: Iterable[tuple[str, int, int]]):
        """List the files (name, size, changed); headers are not read yet."""
        self.root = Path(root)
        names, numbers = bytearray(), [array.array("q") for _ in range(3)]
        for name, size, changed in files:
            names += os.fsencode(name)
            for column, value in zip(numbers, (len(names), size, changed)):
                column.append(value)
        self.names = np.array(names, np.uint8)
        self.ends, self.size, self.changed = (
            np.array(column, np.int64) for column in numbers
        )
        self.height, self.width = np.zeros((2, len(self.ends)), np.int32)
        self.reason = np.zeros(len(self.ends), np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def name(self, i: int) -> str:
        begin = self.ends[i - 1] if i else 0
        return os.fsdecode(self.names[begin : self.ends[i]].tobytes())

    def path(self, i: int) -> Path:
        return self.root / self.name(i)

    def read_headers(self, rows: Sequence[int], progress: bool) -> None:
        """Fill in heights, widths and reasons.  Threads wait for the disk."""
        with (
            ThreadPoolExecutor(8) as pool,
            tqdm(
                desc=f"index of {self.root.name}",
                total=len(rows),
                unit="picture",
                disable=not progress,
                delay=1,
                leave=False,
            ) as bar,
        ):
            for begin in range(0, len(rows), 1024):
                part = rows[begin : begin + 1024]
                found = pool.map(_header, [self.path(i) for i in part])
                for i, facts in zip(part, found):
                    self.height[i], self.width[i], self.reason[i] = facts
                bar.update(len(part))

    def save(self, path: Path) -> None:
        from .checkpoints import write_atomically  # not for the workers

        buffer = io.BytesIO()
        np.savez(buffer, **{key: getattr(self, key) for key in self.ARRAYS})
        write_atomically(path, buffer.getvalue())

    @classmethod
    def saved(cls, root: Path, path: Path) -> "Index":
        """What `save` wrote; an empty index if that is not to be had."""
        index = cls(root, [])
        with contextlib.suppress(Exception):  # damaged: made anew
            with np.load(path, allow_pickle=False) as file:
                found = {key: file[key] for key in cls.ARRAYS}
            lengths = {len(found[key]) for key in cls.ARRAYS[1:]}
            if len(lengths) == 1 and found["ends"][-1] == len(found["names"]):
                vars(index).update(found)
        return index


def _header(path: Path) -> tuple[int, int, int]:
    """Height, width and reason of a picture, without decoding it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                return _facts(opened)
    except Image.DecompressionBombError:
        return 0, 0, _LARGE
    except (PermissionError, FileNotFoundError):
        return 0, 0, _FORBIDDEN
    except Exception:  # Pillow raises many kinds
        return 0, 0, _UNREADABLE


def _facts(opened: Image.Image) -> tuple[int, int, int]:
    width, height = opened.size
    is_deep_tiff = opened.format == "TIFF" and ";16" in str(opened.tile)
    if opened.mode[0] in "IF" or is_deep_tiff:
        return 0, 0, _DEEP
    transparent = opened.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    if transparent or "transparency" in opened.info:
        return 0, 0, _ALPHA
    if width * height > MEGAPIXELS * 1e6:
        return 0, 0, _LARGE
    return height, width, 0


def index_folder(
    folder: str | os.PathLike, *, progress: bool = True
) -> Index:
    """Index the pictures of a folder and of all folders in it.

    A large index is kept in the cache, and used again for all files whose
    name, size and date are the same.

    Raises
    ------
    StreamError : when there is no such folder, or no picture in it.
    """
    from .datasets import cache  # not for the workers

    folder = Path(folder)
    if not folder.exists():
        raise StreamError(f"{folder}: no such folder; give one that exists")
    if not folder.is_dir():
        raise StreamError(f"{folder}: not a folder; give the folder it is in")
    index = Index(folder, _walk(folder))
    if not len(index):
        raise StreamError(
            f"{folder}: holds no pictures; put {', '.join(images.SUFFIXES)} in"
        )
    key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    file = cache() / "folders" / f"{key}.npz"
    before = Index.saved(folder, file)
    rows = _take_over(index, before)
    if len(rows) or len(before) != len(index):
        index.read_headers(rows, progress)
        if len(index) >= KEPT:
            with contextlib.suppress(OSError):  # made again next time
                index.save(file)
    return index


def index_files(paths: Sequence[Path]) -> Index:
    """Index the given files, in this order; nothing is kept."""
    paths = [Path(os.path.abspath(path)) for path in paths]
    root = Path(os.path.commonpath([path.parent for path in paths]))
    stats = [path.stat() for path in paths]
    index = Index(
        root,
        (
            (str(path.relative_to(root)), stat.st_size, stat.st_mtime_ns)
            for path, stat in zip(paths, stats)
        ),
    )
    index.read_headers(range(len(index)), progress=False)
    return index


def _walk(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Name below `folder`, size and date of its pictures, in a fixed order.

    Links are followed, but no folder is entered twice.
    """
    entered = set()

    def walk(here: str, prefix: str):
        try:
            stat = os.stat(here)
            with os.scandir(here) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:  # not ours to read
            return
        if (stat.st_dev, stat.st_ino) in entered and stat.st_ino:
            return
        entered.add((stat.st_dev, stat.st_ino))
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if entry.name.lower().endswith(images.SUFFIXES):
                with contextlib.suppress(OSError):
                    if entry.is_file():
                        stat = entry.stat()
                        yield name, stat.st_size, stat.st_mtime_ns
                        continue
                if entry.is_symlink() and not os.path.exists(entry.path):
                    yield name, 0, 0  # broken: listed as such
                    continue
            if entry.is_dir():
                yield from walk(entry.path, name + "/")

    yield from walk(str(folder), "")


def _take_over(index: Index, before: Index) -> np.ndarray:
    """Copy what is known of unchanged files; the rows that remain."""
    columns = ("ends", "size", "changed", "names")
    if len(index) == len(before) and all(
        np.array_equal(getattr(index, c), getattr(before, c)) for c in columns
    ):
        known = rows = np.arange(len(index))
    else:
        place = {before.name(i): i for i in range(len(before))}
        known = np.array(
            [place.get(index.name(i), -1) for i in range(len(index))], int
        )
        if len(before):
            same = (index.size == before.size[known]) & (
                index.changed == before.changed[known]
            )
            known[~same] = -1
        rows = np.flatnonzero(known >= 0)
        known = known[rows]
    for column in ("height", "width", "reason"):
        getattr(index, column)[rows] = getattr(before, column)[known]
    return np.setdiff1d(np.arange(len(index)), rows)


class Pictures:
    """The pictures of one or more indexes, by number.

    Parameters
    ----------
    indexes : from `index_folder` and `index_files`.

    Attributes
    ----------
    height, width, size : (N,) as in `Index`.
    skipped : path → why a picture was left out, where its header did not
        tell: found while it was read.
    """

    def __init__(self, indexes: Sequence[Index]):
        self.indexes = list(indexes)
        self.starts = np.cumsum([0, *map(len, self.indexes)])
        self.height, self.width, self.size, self.reason = (
            np.concatenate([getattr(index, column) for index in self.indexes])
            for column in ("height", "width", "size", "reason")
        )
        self.skipped: dict[str, str] = {}
        self.smallest = 0

    def __len__(self) -> int:
        return len(self.size)

    def path(self, i: int) -> Path:
        which = int(np.searchsorted(self.starts, i, side="right")) - 1
        return self.indexes[which].path(i - int(self.starts[which]))

    def leave_out_small(self, size: int, scale: int) -> None:
        """Those that don't hold one sub-image, `size` pixels wide."""
        shortest = np.minimum(
            self.height - self.height % scale, self.width - self.width % scale
        )
        self.reason[(self.reason == 0) & (shortest < size)] = _SMALL
        self.smallest = size

    def usable(self) -> np.ndarray:
        """Numbers (int64) of the pictures with nothing against them.

        Raises
        ------
        StreamError : when there is none; it names the first and the reason.
        """
        good = np.flatnonzero(self.reason == 0)
        if not len(good):
            path, reason = next(self.left_out())
            raise StreamError(
                f"{path}: {reason}; none of the {len(self)} pictures can be "
                "trained on"
            )
        return good

    def fit_in_memory(self, zoom: float = 1) -> bool:
        """Whether they, in all `tenths`, are kept rather than streamed."""
        pixels = self.height.astype(np.int64) * self.width
        copies = sum((tenth / 10) ** 2 for tenth in tenths(zoom))
        return 8 * copies * int(pixels[self.reason == 0].sum()) <= MEMORY

    def load(self, numbers: Iterable[int]) -> Iterator[tuple[str, np.ndarray]]:
        """Path and uint8 picture; those that can't be read are skipped."""
        for i in numbers:
            path = self.path(i)
            try:
                image = images.read(path)
            except images.ImageError as error:
                self.skip(path, str(error).removeprefix(f"{path}: "))
            else:
                yield str(path), image

    def skip(self, path: str | os.PathLike, reason: str) -> None:
        self.skipped[str(path)] = " ".join(reason.split())

    def hold_out(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers to train on and numbers to validate with."""
        chosen = np.zeros(len(numbers), bool)
        chosen[:: max(10, -(-len(numbers) // HELD_OUT))] = True
        return numbers[~chosen], numbers[chosen]

    def hold(self, path: str | os.PathLike) -> bool:
        """Whether this very file, or a copy of it, is among them."""
        same = np.flatnonzero(self.size == os.stat(path).st_size)
        with contextlib.suppress(OSError):
            return any(
                filecmp.cmp(path, self.path(i), shallow=False) for i in same
            )
        return False

    def fingerprint(self, numbers: np.ndarray) -> str:
        """sha256 of the names and sizes, in this order.

        The content is not read: that would take as long as an epoch.
        """
        digest = hashlib.sha256()
        for index in self.indexes:
            digest.update(index.names.tobytes() + index.ends.tobytes())
            digest.update(index.size.tobytes())
        digest.update(np.asarray(numbers, np.int64).tobytes())
        return digest.hexdigest()

    def left_out(self) -> Iterator[tuple[str, str]]:
        """Path and reason of every picture that was not used."""
        for i in np.flatnonzero(self.reason):
            reason = REASONS[self.reason[i]].format(size=self.smallest)
            yield str(self.path(i)), reason
        yield from sorted(self.skipped.items())


# Rounds -------------------------------------------------------------------


class Rounds:
    """Crops of the pictures, a round at a time, read by worker processes.

    Parameters
    ----------
    pictures, numbers : what to train on, from `Pictures`.
    scale : magnification.
    size : width in pixels of a sub-image, which a crop must hold.
    seed : of the order of the pictures and of the crops.
    zoom : the smallest size that pictures are shrunk to, in tenths of which
        each crop takes one at random.
    last : the number of the last round that will be asked for.
    workers : how many processes; by default half the cores that fall to this
        process, at most four.

    Use it as a context manager: at its end the workers end.  They also end
    when this process does, however that happens, as their pipe then closes.
    """

    def __init__(
        self,
        pictures: Pictures,
        numbers: np.ndarray,
        scale: int,
        size: int,
        seed: int,
        *,
        zoom: float = 1,
        last: int,
        workers: int | None = None,
    ):
        self.pictures, self.numbers = pictures, numbers
        self.scale, self.seed, self.last = scale, seed, last
        self.crop, self.zoom = max(CROP, size + scale), zoom
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of torchrun
        cores = (os.cpu_count() or 1) // here
        self.count = workers or max(1, min(4, cores // 2))
        self.workers: list[subprocess.Popen] = []
        self.asked: int | None = None
        self.order: tuple[int, np.ndarray] | None = None

    def __enter__(self) -> "Rounds":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def tasks(self, number: int) -> list[tuple[str, list[int]]]:
        """Path and seed of each crop of a round.

        The pictures come in epochs, each a new order of all; a round is the
        next `ROUND` of them, wherever an epoch ends.
        """
        tasks = []
        for place in range(number * ROUND, (number + 1) * ROUND):
            epoch, k = divmod(place, len(self.numbers))
            if self.order is None or self.order[0] != epoch:
                generator = np.random.default_rng([self.seed, epoch])
                self.order = epoch, generator.permutation(self.numbers)
            i = int(self.order[1][k])
            tasks.append((str(self.pictures.path(i)), [self.seed, epoch, i]))
        return tasks

    def get(self, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The pairs of a round; the next round is then begun.

        Returns
        -------
        Inputs and labels as from `pair`, up to `CROP` pixels wide.

        Raises
        ------
        StreamError : when none of its pictures can be read.
        OSError : when a worker has ended.
        """
        if self.asked != number:
            self._ask(number)
        answers: list = [None] * ROUND
        for k, worker in enumerate(self.workers):
            answers[k :: self.count] = self._answer(worker)
        self.asked = None
        if number < self.last:
            self._ask(number + 1)
        pairs = []
        for (path, _), answer in zip(self.tasks(number), answers):
            if isinstance(answer, str):
                self.pictures.skip(path, answer)
            else:
                pairs.append(answer)
        if not pairs:
            raise StreamError(
                f"{path}: {answer}; of {ROUND} pictures in turn none can be "
                "read"
            )
        return pairs

    def close(self) -> None:
        """End the workers."""
        for worker in self.workers:
            worker.kill()
        for worker in self.workers:
            worker.communicate()
        self.workers, self.asked = [], None

    def _ask(self, number: int) -> None:
        if self.asked is not None:  # for another round, that nobody wants
            self.close()
        if not self.workers:
            self.workers = [_start() for _ in range(self.count)]
        tasks = self.tasks(number)
        for k, worker in enumerate(self.workers):
            how = self.crop, self.scale, self.zoom
            task = tasks[k :: self.count], how
            with contextlib.suppress(OSError):  # seen when it should answer
                pickle.dump(task, worker.stdin)
                worker.stdin.flush()
        self.asked = number

    @staticmethod
    def _answer(worker: subprocess.Popen) -> list:
        try:
            return pickle.load(worker.stdout)
        except Exception:  # pickle raises nearly any for what is garbled
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(2)  # one that is dying has a status of its own
            worker.kill()
            status = worker.wait()
            raise OSError(
                f"a process that reads pictures ended (status {status}); is "
                "there enough memory?"
            ) from None


def _start() -> subprocess.Popen:
    """A worker.  Not `multiprocessing`: its children would run the user's
    script again, and outlive a killed parent."""
    here = str(Path(__file__).resolve().parent.parent)
    code = (
        f"import sys; sys.path.insert(0, {here!r}); "
        "from srcnn_lib import streaming; streaming.serve()"
    )
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    apart = {"start_new_session": True}  # Ctrl-C is for the parent
    if os.name == "nt":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | one,
        **apart,
    )


def serve() -> None:
    """The life of a worker: a list of tasks in, a list of answers out."""
    tasks_in, answers_out = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            tasks, how = pickle.load(tasks_in)
            answers = [_read(*task, *how) for task in tasks]
            pickle.dump(answers, answers_out, protocol=5)
            answers_out.flush()
    os._exit(0)


def _read(path: str, seed: list[int], crop: int, scale: int, zoom: float):
    """The pair of a random crop, or a string that says what is wrong.

    It is not turned upright: sub-images are taken in all symmetries.
    """
    try:
        with Image.open(path) as opened:
            height, width, reason = _facts(opened)
            if reason:
                return REASONS[reason]
            generator = np.random.default_rng(seed)
            tenth = int(generator.choice(tenths(zoom)))
            crop = math.ceil(crop * 10 / tenth)
            top = int(generator.integers(max(1, height - crop + 1)))
            left = int(generator.integers(max(1, width - crop + 1)))
            box = (left, top, min(width, left + crop), min(height, top + crop))
            part = opened.crop(box)
        grey = part.mode in ("1", "L")
        image = np.array(part.convert("L" if grey else "RGB"))
        if tenth < 10:
            image = imresize(image, tenth / 10)
        return pair(image, scale)
    except FileNotFoundError:
        return "no such file any more"
    except Exception as error:  # Pillow raises many kinds
        return f"the picture is damaged ({error or type(error).__name__})"
