"""What each page needs: wall and processor seconds, and peak memory.

    python benchmarks/page_costs.py [PAGE …] [--device-name "two CPU cores"]

Runs pages in fresh kernels, one after the other, and records each in
data/studies/page_costs.json, keyed by page, beside what was there.  Take it on a
machine that does nothing else, with the data fetched: downloads would count.  Processor
seconds include those of processes that the kernel started and waited for; memory is the
kernel's largest resident size, as Linux keeps it.  On a machine with a CUDA device the
numbers go to the page's entry "gpu", else to "cpu".  `table` is what the book shows.
"""

import argparse
import json
import os
import platform
import re
import time
from pathlib import Path

import psutil
from nbclient import NotebookClient

from tools import course, notebooks

FILE = notebooks.ROOT / "data" / "studies" / "page_costs.json"
NOT_YET = "not yet measured"


def measure(page: Path) -> dict:
    """Run one page; seconds and gigabytes (10⁹ bytes)."""
    used, resources = {}, {"metadata": {"path": str(notebooks.BOOK)}}

    def look(**_) -> None:
        pid = client.km.provisioner.process.pid
        seconds = sum(psutil.Process(pid).cpu_times()[:4])
        status = Path(f"/proc/{pid}/status").read_text()
        peak = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024
        used.update(processor_s=round(seconds, 1), peak_gb=round(peak / 1e9, 2))

    choices = {"timeout": 3600, "resources": resources, "on_cell_executed": look}
    client, start = NotebookClient(notebooks.read(page), **choices), time.monotonic()
    client.execute()
    return {"wall_s": round(time.monotonic() - start, 1)} | used


def read(file: Path = FILE) -> dict:
    """Page → "cpu" or "gpu" → what it needs."""
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def record(page: str, kind: str, entry: dict, file: Path = FILE) -> None:
    """Put an entry under a page's name, and keep the others."""
    known = read(file)
    known.setdefault(page, {})[kind] = entry
    text = json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def table(file: Path = FILE) -> str:
    """Markdown: what each page needs; from its cost label and what is recorded."""
    lines = ["| page | reading | CPU | both cores | memory | T4-class GPU | data |"]
    lines.append("|:--|--:|--:|--:|--:|--:|--:|")
    known = read(file)
    for page in notebooks.pages():
        nb, found = notebooks.read(page), known.get(page.stem, {})
        first, cpu = nb.cells[0].source, found.get("cpu")
        number = page.stem.partition("_")[0].lstrip("0")
        heading = re.split("[:,]", first.partition("\n")[0].removeprefix("# "))[0]
        gpu = _duration(found.get("gpu"), "wall_s")
        cells = (
            f"[{number} · {heading}]({page.name})", f"{course.reading_minutes(nb)} min",
            _duration(cpu, "wall_s"), _duration(cpu, "processor_s"),
            f"{cpu['peak_gb']:.1f} GB" if cpu else NOT_YET,
            gpu if nb.metadata.get("accelerator") == "GPU" else "not needed",
            _download(first),
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _duration(entry: dict | None, key: str) -> str:
    if entry is None:
        return NOT_YET
    return f"{entry[key]:.0f} s" if entry[key] < 100 else f"{entry[key] / 60:.1f} min"


def _download(first: str) -> str:
    """How much a page's cost label says is fetched."""
    label = re.sub(r"\s+", " ", first.partition("**Cost**")[2])
    data = re.search(r"data: (.+?) · ", label)[1]
    sizes = [int(size) for size in re.findall(r"(\d+) MB", data)]
    return f"{sum(sizes)} MB" if sizes else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE")
    parser.add_argument("--device-name", help="the machine in words")
    args = parser.parse_args()
    from srcnn_lib import models, runs

    device, cores = models.choose_device("auto"), os.cpu_count()
    is_gpu = device.type == "cuda"
    words = models.describe(device) if is_gpu else f"{cores} CPU cores"
    threads = int(os.environ.get("OMP_NUM_THREADS", cores))
    about = {"device": args.device_name or words, "threads": threads}
    about |= {"python": platform.python_version()} | runs.circumstances()
    known = {page.stem: page for page in notebooks.pages()}
    for name in args.pages or known:
        if name not in known:
            parser.error(f"no page {name}; there are: {' '.join(known)}")
        entry = measure(known[name]) | about
        record(name, "gpu" if is_gpu else "cpu", entry)
        print(name, entry, flush=True)


if __name__ == "__main__":
    main()
