"""PSNR against time: every method, on Set14 at x3, in one run.

    python benchmarks/psnr_vs_time.py [--threads 1] [--repeats 3] [--record]

The methods take turns, round after round, so that whatever else the machine
does falls on all of them.  A picture's time is the median of its rounds, a
method's time the mean over the pictures.  Loading, making matrices where a
method has them, and a first call on a small picture are not timed.  With
--record the rows go to data/studies/psnr_vs_time.json, which chapter 7 draws.
"""

import argparse
import datetime
import json
import statistics
import time

import numpy as np
import torch

from srcnn_lib import checkpoints, datasets, images, methods, protocol
from srcnn_lib.models import describe

SCALE, DATASET = 3, "Set14"
FILE = datasets.data_folder() / "studies" / "psnr_vs_time.json"
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
    device = describe(torch.device("cpu"))
    pictures = [
        protocol.degrade(image, SCALE)
        for image in datasets.load(DATASET).values()
    ]
    calls = {
        entry: methods.get(entry[0], model=entry[1], scale=SCALE, device="cpu")
        for entry in ENTRIES
    }
    psnr_db = {entry: [] for entry in ENTRIES}
    seconds = {entry: [[] for _ in pictures] for entry in ENTRIES}
    small = pictures[0][1][:40, :40]
    for call in calls.values():
        call(small, SCALE)
    for turn in range(args.repeats):
        for entry, call in calls.items():
            for k, (hr_y, lr_y) in enumerate(pictures):
                began = time.perf_counter()
                sr_y = call(lr_y, SCALE)
                seconds[entry][k].append(time.perf_counter() - began)
                if turn == 0:
                    sr_y = images.to_uint8(np.asarray(sr_y, float) * 255)
                    psnr_db[entry].append(protocol.psnr(hr_y, sr_y, crop=SCALE))
    rows = []
    usual = None
    print(f"{DATASET} x{SCALE}, {device}, median of {args.repeats}")
    for method, model in ENTRIES:
        entry = method, model
        medians = [statistics.median(s) for s in seconds[entry]]
        row = {
            "method": method,
            "model": model,
            "psnr_db": round(statistics.mean(psnr_db[entry]), 4),
            "seconds": round(statistics.mean(medians), 5),
        }
        usual = usual or row["seconds"]
        label = methods.LABELS[method] + (f" {model}" if model else "")
        print(
            f"{label:32}{row['psnr_db']:8.2f} dB{row['seconds']:9.3f} s"
            f"{row['seconds'] / usual:9.1f} × bicubic"
        )
        rows.append(
            row
            | {
                "dataset": DATASET,
                "scale": SCALE,
                "device": device,
                "repeats": args.repeats,
                "date": datetime.date.today().isoformat(),
            }
        )
    if args.record:
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        checkpoints.write_atomically(FILE, text.encode())


if __name__ == "__main__":
    main()
