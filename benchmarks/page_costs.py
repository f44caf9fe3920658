"""What each page needs: wall and processor seconds, and peak memory.

    python benchmarks/page_costs.py [PAGE …] [--device-name "two CPU cores"]

Runs pages in fresh kernels, one after the other, and records each in
data/studies/page_costs.json, keyed by page, beside what was there.  Take it on a
machine that does nothing else, with the data fetched: downloads would count.  Processor
seconds and memory are those of the kernel and the processes that it starts, memory as
the sum of resident sizes, looked at ten times a second.  On a machine with a CUDA
device the same numbers go to the page's entry "gpu", else to "cpu".  `table` is
what the book shows of it.
"""

import argparse
import json
import os
import platform
import re
import sys
import threading
import time
from datetime import date
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
from nbclient import NotebookClient

from tools import course, notebooks

FILE = notebooks.ROOT / "data" / "studies" / "page_costs.json"
INTERVAL_S = 0.1
NOT_YET = "not yet measured"


class Watch(threading.Thread):
    """Looks at a kernel's process tree until stopped."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.root = psutil.Process(pid)
        self.peak = 0
        self.spent: dict[int, float] = {}
        self.over = threading.Event()

    def look(self) -> None:
        try:
            tree = [self.root, *self.root.children(recursive=True)]
        except psutil.Error:
            return
        total = 0
        for process in tree:
            try:
                total += process.memory_info().rss
                times = process.cpu_times()
                self.spent[process.pid] = times.user + times.system
            except psutil.Error:
                continue
        self.peak = max(self.peak, total)

    def run(self) -> None:
        while not self.over.wait(INTERVAL_S):
            self.look()


def measure(page: Path) -> dict:
    """Run one page; seconds and gigabytes (10⁹ bytes)."""
    client = NotebookClient(
        notebooks.read(page),
        timeout=3600,
        kernel_name="python3",
        resources={"metadata": {"path": str(notebooks.BOOK)}},
    )
    watched: list[Watch] = []

    def begin(**_) -> None:  # the kernel is there before the first cell
        if not watched:
            watched.append(Watch(client.km.provisioner.process.pid))
            watched[0].start()

    client.on_cell_execute = begin
    client.on_cell_executed = lambda **_: watched[0].look()
    start = time.monotonic()
    client.execute()
    wall = time.monotonic() - start
    watched[0].over.set()
    watched[0].join()
    return {
        "wall_s": round(wall, 1),
        "processor_s": round(sum(watched[0].spent.values()), 1),
        "peak_gb": round(watched[0].peak / 1e9, 2),
    }


def record(page: str, kind: str, entry: dict, file: Path = FILE) -> None:
    """Put an entry under a page's name, and keep the others."""
    known = json.loads(file.read_text()) if file.exists() else {}
    known.setdefault(page, {})[kind] = entry
    text = json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def table(file: Path = FILE) -> str:
    """Markdown: what each page needs; from its cost label and what is recorded."""
    known = json.loads(file.read_text()) if file.exists() else {}
    lines = [
        "| page | reading | CPU | both cores | memory | T4-class GPU | data |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for page in notebooks.pages():
        nb = notebooks.read(page)
        first = nb.cells[0].source
        number = page.stem.partition("_")[0].lstrip("0")
        heading = first.partition("\n")[0].removeprefix("# ")
        title = f"{number} · {re.split('[:,]', heading)[0]}"
        entry = known.get(page.stem, {})
        cpu, gpu = entry.get("cpu"), entry.get("gpu")
        lines.append(
            f"| [{title}]({page.name}) | "
            + " | ".join(
                [
                    f"{course.reading_minutes(nb)} min",
                    _duration(cpu["wall_s"]) if cpu else NOT_YET,
                    _duration(cpu["processor_s"]) if cpu else NOT_YET,
                    f"{cpu['peak_gb']:.1f} GB" if cpu else NOT_YET,
                    "not needed" if nb.metadata.get("accelerator") != "GPU" else
                    _duration(gpu["wall_s"]) if gpu else NOT_YET,
                    _download(first),
                ]
            )
            + " |"
        )  # fmt: skip
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _download(first: str) -> str:
    """How much a page's cost label says is fetched."""
    label = re.sub(r"\s+", " ", first.partition("**Cost**")[2])
    data = re.search(r"data: (.+?) · ", label)[1]
    sizes = [int(size) for size in re.findall(r"(\d+) MB", data)]
    return f"{sum(sizes)} MB" if sizes else "none"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE")
    parser.add_argument("--device-name", help="the machine in words")
    args = parser.parse_args()
    import torch

    kind = "gpu" if torch.cuda.is_available() else "cpu"
    device = torch.cuda.get_device_name() if kind == "gpu" else None
    device = args.device_name or device or f"{os.cpu_count()} CPU cores"
    known = {page.stem: page for page in notebooks.pages()}
    for name in args.pages or known:
        if name not in known:
            parser.error(f"no page {name}; there are: {' '.join(known)}")
        entry = measure(known[name])
        entry |= {
            "device": device,
            "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "date": date.today().isoformat(),
        }
        record(name, kind, entry)
        print(name, entry, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
