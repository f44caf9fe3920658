"""How fast the network enhances a picture on a CPU, and what bf16 costs.

    python benchmarks/upscale.py [--threads 1] [--repeats 9] [--size 512]

The ways are timed in turn, round after round, so that whatever else the
machine does falls on all of them; medians are shown.  On a machine that is
busy with other work the processor's own time (CPU) says more than the clock's.
Ratios compare rows of one run; times of different runs don't compare.
"""

import argparse
import copy
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

from srcnn_lib import checkpoints, datasets, images, protocol
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, initialise

SCALE = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(machine())
    for name in ("9-1-5", "9-5-5"):
        model, label, is_trained = network(name)
        print(f"\n{label}, {args.size}×{args.size} luma")
        compare(model, picture(args.size), args.repeats)
        if is_trained:
            cost_of_bf16(model)


def machine() -> str:
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [x.split(":")[1].strip() for x in lines if "model name" in x]
        name = names[0] if names else name
        flags = next((x for x in lines if x.startswith("flags")), "").split()
        units = [x for x in ("avx2", "avx512f", "avx512_bf16", "amx_bf16")]
        name += f" ({', '.join(x for x in units if x in flags)})"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads{load}, "
        f"torch {torch.__version__}"
    )


def network(name: str) -> tuple[SRCNN, str, bool]:
    """Weights of ours, else the authors', else random ones for the time."""
    known = checkpoints.names()
    for model in (name, f"official/{name}-imagenet"):
        if SCALE not in known.get(model, ()):
            continue
        try:
            return checkpoints.load(model, SCALE).eval(), f"{model} x{SCALE}", True
        except datasets.DataError:
            continue
    f = tuple(int(size) for size in name.split("-"))
    model = initialise(SRCNN(f), generator=torch.Generator().manual_seed(0))
    return model.eval(), f"{name}, random weights", False


def picture(size: int) -> np.ndarray:
    """A photograph's luma, (size, size), float32, 0…1."""
    photographs = datasets.load("demo-test")
    y = images.luma(photographs[next(iter(photographs))])
    y = np.pad(y, [(0, max(0, size - n)) for n in y.shape], mode="reflect")
    return (y[:size, :size] / 255).astype(np.float32)


def compare(model: SRCNN, y: np.ndarray, repeats: int) -> None:
    """Print times, GFLOP/s, ratios to the usual call, largest change."""
    batch = torch.from_numpy(y)[None, None]
    last = {"memory_format": torch.channels_last}
    model_last = copy.deepcopy(model).to(**last)
    ours = SRCNNMethod(model, "cpu")
    ours_bf16 = SRCNNMethod(model, "cpu", torch.bfloat16)

    @torch.inference_mode()
    def usual():
        return model(batch)[0, 0].numpy()

    @torch.inference_mode()
    def channels_last():
        return model_last(batch.contiguous(**last))[0, 0].numpy()

    ways = {
        "usual call": usual,
        "channels-last": channels_last,
        "ours": lambda: ours.enhance(y),
        "ours, bf16": lambda: ours_bf16.enhance(y),
    }
    exact = usual()
    change = {}
    for way, run in ways.items():  # also warms up
        change[way] = np.abs(run() - exact).max()
    times = {way: [] for way in ways}
    for _ in range(repeats):
        for way, run in ways.items():
            began = time.perf_counter(), time.process_time()
            run()
            ended = time.perf_counter(), time.process_time()
            times[way].append(np.subtract(ended, began))
    flop = 2 * model.count_weights() * y.size
    first, first_cpu = np.median(times["usual call"], axis=0)
    print(
        f"{'':<14}{'ms':>8}{'GFLOP/s':>9}{'ratio':>7}"
        f"{'CPU ms':>9}{'ratio':>7}{'change':>10}"
    )
    for way in ways:
        median, cpu = np.median(times[way], axis=0)
        print(
            f"{way:<14}{1e3 * median:8.1f}{flop / median / 1e9:9.1f}"
            f"{first / median:7.2f}{1e3 * cpu:9.1f}{first_cpu / cpu:7.2f}"
            f"{change[way]:10.1e}"
        )


def cost_of_bf16(model: SRCNN) -> None:
    """Print the mean PSNR on Set5, or on the embedded photographs."""
    pictures = datasets.load("Set5", fallback="demo-test")
    psnr_db = {}
    for dtype in (torch.float32, torch.bfloat16):
        method = SRCNNMethod(model, "cpu", dtype)
        scores = protocol.evaluate(method, pictures, SCALE)
        psnr_db[dtype], _ = protocol.mean(scores)
    exact, half = psnr_db.values()
    print(
        f"{pictures.name} x{SCALE}: {exact:.3f} dB, in bf16 {half:.3f} dB "
        f"({half - exact:+.3f} dB)"
    )


if __name__ == "__main__":
    main()
