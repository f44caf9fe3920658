"""First-layer filters along one training, for the pictures of chapter 8.

    python benchmarks/filter_snapshots.py

Trains 9-1-5 x3 on T91 by the recipe of the book's weights, in 20,000 steps, and keeps
the 64 filters of its first layer at moments that lie closer at the beginning.  Writes
data/studies/filter_snapshots.safetensors, float16, and its card beside it.
"""

import contextlib
import dataclasses

import torch

from benchmarks.rows import SCALE, options, train
from srcnn_lib import checkpoints, datasets, models, training

FILE = datasets.data_folder() / "studies" / "filter_snapshots.safetensors"
CONFIG = dataclasses.replace(training.PRESETS["full"], scale=SCALE, steps=20_000)
#: Steps between looks, and the steps that are kept of them.
STRETCHES = {
    10: (10, 20, 30, 50, 70, 100),
    100: (100, 200, 300, 500, 700, 1_000),
    1_000: (1_000, 2_000, 3_000, 5_000, 7_000, 10_000, 14_000, 20_000),
}


class EnoughError(Exception):
    """Ends a stretch."""


def main() -> None:
    options(__doc__)
    generator = torch.Generator().manual_seed(CONFIG.seed)
    start = models.initialise(models.SRCNN(), CONFIG.init, generator)
    kept, history = {0: start.convs[0].weight.detach().clone()}, []
    for every, moments in STRETCHES.items():
        # Each stretch begins anew: a batch depends on the seed and the step
        # alone, so it is the same training, looked at more often.
        def look(row, network, moments=moments):
            step = row["step"]
            if step in moments:
                filters = network.convs[0].weight.detach().clone()
                if step in kept:
                    assert torch.allclose(kept[step], filters, atol=1e-4)
                else:
                    history.append(row)
                kept[step] = filters
                print(f"{step:>6}: {row['psnr_db']:.2f} dB", flush=True)
            if step == moments[-1] and step < CONFIG.steps:
                raise EnoughError

        with contextlib.suppress(EnoughError):
            config = dataclasses.replace(CONFIG, validate_every=every)
            run = train(config, on_validate=look)
    card = run.card | {
        "what": "first-layer filters of the averaged weights", "steps": sorted(kept),
        "command": "python benchmarks/filter_snapshots.py", "history": history,
    }  # fmt: skip
    filters = torch.stack([kept[step][:, 0] for step in sorted(kept)])
    tensors = {"filters": filters.half()}  # (moments, 64, 9, 9)
    print(checkpoints.write_tensors(tensors, FILE, card))


if __name__ == "__main__":
    main()
