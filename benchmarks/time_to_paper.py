"""Seconds of training until 9-1-5 x3 reaches the paper's Set5 average.

    python benchmarks/time_to_paper.py [--seeds 5] [--threads 2] [--record]

Ours is the preset ``quick``.  Its schedule is fixed beforehand; Set5 is looked at every
100 steps, off the clock, only to read the level.  Beside it the loop that most public
ports share: default initialisation, zero padding, a DataLoader of sub-images on the
paper's grid, Adam at 1e-4.  It gets the same cores, for as long as ours took and for
--popular seconds.  With --record all runs go to data/studies/time_to_paper.json, which
chapter 6 and the first page tell of; take it on a machine that does nothing else.
"""

import dataclasses
import statistics
import time

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.rows import SCALE, Padded, Rows, facts, mean_db, options, set5, train
from srcnn_lib import datasets, results, training
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.subimages import SubImages


def set5_db(network) -> float:
    return mean_db(SRCNNMethod(network, "cpu"), "Set5")


def ours(seed: int, level: float, threads: int) -> dict:
    changes = {"scale": SCALE, "seed": seed, "validate_every": 100}
    config, reached = dataclasses.replace(training.PRESETS["quick"], **changes), []

    def look(row, network):
        late = row["step"] >= config.steps // 4
        if late and not reached and set5_db(network) >= level:
            reached.append(row)

    run = train(config, threads=threads, on_validate=look)
    row = reached[0] if reached else {"seconds": float("inf"), "step": 0}
    found = {"seed": seed, "to_level": row["seconds"], "step": row["step"]}
    spent = {"steps": config.steps, "seconds": run.history[-1]["seconds"]}
    return found | spent | {"end_db": set5_db(run.model)}


def popular(until: list[float]) -> list[dict]:
    """What it has reached after each of these times of training."""
    network = Padded(0)
    pictures = SubImages(datasets.load("T91").values(), SCALE, 33, 0)
    shown = TensorDataset(*pictures.cut(pictures.grid()))
    loader = DataLoader(shown, batch_size=16, shuffle=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    rows, steps, seconds, began = [], 0, 0.0, time.perf_counter()
    while True:
        for x, y in loader:
            optimiser.zero_grad()
            F.mse_loss(network(x), y).backward()
            optimiser.step()
            steps += 1
            now = seconds + time.perf_counter() - began
            if now < until[len(rows)]:
                continue
            db = set5(network)["set5_psnr_db"]
            rows.append({"seconds": now, "steps": steps, "end_db": db})
            if len(rows) == len(until):
                return rows
            seconds, began = now, time.perf_counter()


def main() -> None:
    args = options(__doc__, seeds=5, threads=2, popular=300.0, record=False)
    level = results.printed("srcnn", "Set5", SCALE, model="official/9-1-5-91").value
    runs = [ours(seed, level, args.threads) for seed in range(args.seeds)]
    medians = (statistics.median(r[k] for r in runs) for k in ("to_level", "seconds"))
    ports = popular(sorted({args.popular, *(min(m, args.popular) for m in medians)}))
    rows, about = [{"who": "ours"} | run for run in runs], facts()
    rows += [{"who": "popular loop"} | port for port in ports]
    for row in rows:
        row |= {k: round(v, 3) for k, v in row.items() if isinstance(v, float)} | about
        print(row)
    if args.record:
        Rows("time_to_paper").replace(rows)


if __name__ == "__main__":
    main()
