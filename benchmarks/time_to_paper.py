"""Seconds of training until 9-1-5 x3 reaches the paper's Set5 average.

    python benchmarks/time_to_paper.py [--seeds 5] [--threads 2] [--record]

Ours is the preset ``quick``.  Its schedule is fixed beforehand; Set5 is looked
at every 100 steps, off the clock, only to read the level.  Beside it the loop
that most public ports share: default initialisation, zero padding, a
DataLoader of sub-images on the paper's grid, Adam at 1e-4.  It gets the same
cores, for as long as ours took and for five minutes.  With --record all runs go
to data/studies/time_to_paper.json, which chapter 6 and the first page tell of;
take it on a machine that does nothing else.
"""

import argparse
import dataclasses
import datetime
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from srcnn_lib import checkpoints, datasets, protocol, results, training
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.resize import bicubic

SCALE = 3
FILE = datasets.data_folder() / "studies" / "time_to_paper.json"


def set5_db(method) -> float:
    scores = protocol.evaluate(method, datasets.load("Set5"), SCALE)
    return protocol.mean(scores)[0]


def ours(seed: int, level: float) -> dict:
    config = dataclasses.replace(
        training.PRESETS["quick"], scale=SCALE, seed=seed, validate_every=100
    )
    reached = []

    def look(row, network):
        late = row["step"] >= config.steps // 4
        if late and not reached and set5_db(SRCNNMethod(network, "cpu")) >= level:
            reached.append(row)

    run = training.train(
        config,
        datasets.load("T91"),
        device="cpu",
        progress=False,
        on_validate=look,
    )
    row = reached[0] if reached else {"seconds": float("inf"), "step": 0}
    return {
        "seed": seed,
        "to_level": row["seconds"],
        "step": row["step"],
        "steps": config.steps,
        "seconds": run.history[-1]["seconds"],
        "end_db": set5_db(SRCNNMethod(run.model, "cpu")),
    }


def popular(until: list[float]) -> list[dict]:
    """What it has reached after each of these times of training."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 64, 9, padding=4),
        nn.ReLU(),
        nn.Conv2d(64, 32, 1),
        nn.ReLU(),
        nn.Conv2d(32, 1, 5, padding=2),
    )

    def method(lr_y, scale):
        y = torch.from_numpy(bicubic(lr_y, scale)).float()
        with torch.inference_mode():
            return network(y[None, None])[0, 0].numpy()

    pictures = training.SubImages(datasets.load("T91").values(), SCALE, 33, 0)
    inputs, labels = pictures.cut(*pictures.grid())
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=16, shuffle=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    rows, steps, seconds = [], 0, 0.0
    began = time.perf_counter()
    while True:
        for x, y in loader:
            optimiser.zero_grad()
            F.mse_loss(network(x), y).backward()
            optimiser.step()
            steps += 1
            now = seconds + time.perf_counter() - began
            if now < until[len(rows)]:
                continue
            end_db = set5_db(method)
            rows.append({"seconds": now, "steps": steps, "end_db": end_db})
            if len(rows) == len(until):
                return rows
            seconds, began = now, time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--popular", type=float, default=300, help="seconds")
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    level = results.printed("srcnn", "Set5", SCALE, model="official/9-1-5-91").value
    print(f"{training.describe(torch.device('cpu'))}, PyTorch {torch.__version__}")
    print(f"9-1-5 x{SCALE} on T91; the paper's Set5 average is {level} dB")

    began = time.perf_counter()
    training.SubImages(datasets.load("T91").values(), SCALE, 33, 6)
    print(f"preparing the pictures, once: {time.perf_counter() - began:.1f} s")

    print(f"\n{'ours':<12}{'to ' + str(level) + ' dB':>12}{'step':>7}"
          f"{'in all':>10}{'steps':>7}{'Set5':>9}")  # fmt: skip
    runs = []
    for seed in range(args.seeds):
        run = ours(seed, level)
        runs.append(run)
        print(
            f"{f'seed {seed}':<12}{run['to_level']:10.1f} s{run['step']:7}"
            f"{run['seconds']:8.1f} s{run['steps']:7}{run['end_db']:9.2f}",
            flush=True,
        )
    median = statistics.median(run["to_level"] for run in runs)
    in_all = statistics.median(run["seconds"] for run in runs)
    end = statistics.median(run["end_db"] for run in runs)
    print(f"{'median':<12}{median:10.1f} s{'':7}{in_all:8.1f} s{'':7}{end:9.2f}")

    print(f"\n{'popular loop':<14}{'steps':>8}{'Set5':>9}")
    times = sorted({min(median, args.popular), min(in_all, args.popular),
                    args.popular})  # fmt: skip
    ports = popular(times)
    for row in ports:
        print(f"{row['seconds']:10.1f} s{row['steps']:10}{row['end_db']:9.2f}")

    if args.record:
        common = {
            "device": training.describe(torch.device("cpu")),
            "torch": torch.__version__,
            "date": datetime.date.today().isoformat(),
        }
        rows = [{"who": "ours", **run, **common} for run in runs]
        rows += [{"who": "popular loop", **row, **common} for row in ports]
        for row in rows:
            row |= {k: round(v, 3) for k, v in row.items() if isinstance(v, float)}
        text = json.dumps(rows, indent=1) + "\n"
        checkpoints.write_atomically(FILE, text.encode())


if __name__ == "__main__":
    main()
