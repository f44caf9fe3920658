"""PSNR against time: every method, on Set14 at x3, in one run.

    python benchmarks/psnr_vs_time.py [--threads 1] [--repeats 3] [--record]

The methods take turns.  A picture's time is the median of its rounds, a method's time
the mean over the pictures.  Loading, making matrices where a method has them, and a
first call on a small picture are not timed.  With --record the rows go to
data/studies/psnr_vs_time.json, which chapter 7 draws.
"""

import argparse
import statistics

import torch

from benchmarks.rows import Rows, facts, seconds_in_turn
from srcnn_lib import datasets, methods, protocol

SCALE, DATASET = 3, "Set14"
ENTRIES = [
    ("bicubic", None),
    ("sc", "official/yang"),
    ("sc", None),
    ("ksvd", None),
    ("ne-nnls", None),
    ("ne-lle", None),
    ("gr", None),
    ("anr", None),
    ("aplus", None),
    ("kk", None),
    ("srcnn", "official/9-1-5-91"),
    ("srcnn", "official/9-5-5-imagenet"),
    ("srcnn", "9-1-5"),
    ("srcnn", "9-3-5"),
    ("srcnn", "9-5-5"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images = datasets.load(DATASET)
    calls = {
        (method, model): methods.get(method, model=model, scale=SCALE, device="cpu")
        for method, model in ENTRIES
    }
    small = [protocol.degrade(image, SCALE)[1] for image in images.values()]
    taken = seconds_in_turn(calls, small, SCALE, args.repeats)
    common = {"dataset": DATASET, "scale": SCALE, "repeats": args.repeats} | facts()
    print(f"{DATASET} x{SCALE}, {common['device']}, median of {args.repeats}")
    rows = Rows("psnr_vs_time")
    rows.clear()
    for (method, model), call in calls.items():
        seconds = statistics.mean(map(statistics.median, taken[method, model]))
        psnr_db = protocol.mean(protocol.evaluate(call, images, SCALE))[0]
        measured = {"psnr_db": round(psnr_db, 4), "seconds": round(seconds, 5)}
        rows.append({"method": method, "model": model} | measured | common)
        label = methods.LABELS[method] + (f" {model}" if model else "")
        print(f"{label:32}{psnr_db:8.2f} dB{seconds:9.3f} s"
              f"{seconds / rows[0]['seconds']:9.1f} × bicubic")  # fmt: skip
    if args.record:
        rows.write()


if __name__ == "__main__":
    main()
