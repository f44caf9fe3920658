"""How fast the network enhances an image on a CPU, beside PyTorch's usual call.

    python benchmarks/upscale.py [--threads 2] [--rounds 7] [--size 512] [--record]

Measured first on the machine as it is, then with another program that keeps one core
busy.  The ways take turns, so whatever else the machine does falls on all of them; a
ratio is the median over the rounds, a change the largest difference in 0…1.  At last a
process of its own enlarges an image to 24 megapixels, and its largest memory is read
(--megapixels 0 leaves this out).  --record: the rows go to data/studies/upscale.json.
"""

import copy
import multiprocessing
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from benchmarks.rows import SCALE, Rows, facts, options, other_program
from srcnn_lib import checkpoints, datasets, images, methods
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN


def photograph(size: int) -> np.ndarray:
    """Luma, (size, size), float32, 0…1."""
    y = images.luma(datasets.load("demo-test")["coffee"])
    y = np.pad(y, [(0, max(0, size - n)) for n in y.shape], mode="reflect")
    return (y[:size, :size] / 255).astype(np.float32)


def compare(model: SRCNN, y: np.ndarray, rounds: int) -> list[dict]:
    """Seconds, ratio to the usual call and largest change, of each way."""
    last = {"memory_format": torch.channels_last}
    batch, model_last = torch.from_numpy(y)[None, None], copy.deepcopy(model).to(**last)
    ways = {
        "usual call": lambda: model(batch)[0, 0].numpy(),
        "channels last": lambda: model_last(batch.contiguous(**last))[0, 0].numpy(),
        "ours": lambda: SRCNNMethod(model, "cpu").enhance(y),
    }
    with torch.inference_mode():
        results = {way: run() for way, run in ways.items()}  # also warms up
        taken = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                began = time.perf_counter()
                run()
                taken[way].append(time.perf_counter() - began)
    usual = "usual call"
    return [{
        "way": way, "seconds": round(statistics.median(seconds), 4),
        "ratio": round(float(np.median(np.divide(taken[usual], seconds))), 2),
        "change": float(f"{np.abs(results[way] - results[usual]).max():.1e}"),
    } for way, seconds in taken.items()]  # fmt: skip


def memory_gb(model: str, megapixels: float) -> float:
    """Enlarge to so many megapixels of RGB; the largest memory of this process."""
    side = round((megapixels * 1e6) ** 0.5 / SCALE)
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    methods.upscale(methods.get("srcnn", model=model, scale=SCALE), image, SCALE)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)


def main() -> None:
    args = options(__doc__, threads=2, rounds=7, size=512, megapixels=24, record=False)
    rows = []
    common = {"scale": SCALE, "threads": args.threads, "rounds": args.rounds} | facts()
    for busy in (False, True):
        for name in ("9-1-5", "9-5-5"):
            model = checkpoints.load(name, SCALE).eval()
            with other_program(busy) as load:
                found = compare(model, photograph(args.size), args.rounds)
            for row in found:
                row = {"model": name, "busy": busy, "load": load} | row
                print(row, flush=True)
                rows.append(row | {"size": args.size} | common)
    if args.megapixels:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            gb = process.submit(memory_gb, "9-1-5", args.megapixels).result()
        row = {"model": "9-1-5", "megapixels": args.megapixels, "memory_gb": gb}
        print(row)
        rows.append(row | common)
    if args.record:
        Rows("upscale").replace(rows)


if __name__ == "__main__":
    main()
