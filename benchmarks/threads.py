"""A training step with one thread, with all threads, and by `threads.Threads`.

    python benchmarks/threads.py [--threads 2] [--seconds 20] [--record]

Steps of 9-1-5 with 16 sub-images of 33×33 pixels, first on the machine as it is, then
with another program that keeps one core busy.  The ways take turns of half a second;
`Threads` begins anew for each of the two, and its trials count.  With --record the rows
go to data/studies/threads.json.
"""

import time

import torch
from torch.nn import functional as F

from benchmarks.rows import Rows, facts, options, other_program
from srcnn_lib.models import SRCNN
from srcnn_lib.threads import Threads

TURN = 0.5  # seconds


def steps():
    """A function that makes one training step."""
    model = SRCNN()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    y = torch.rand(16, 1, 33, 33, generator=torch.Generator().manual_seed(0))

    def step():
        optimiser.zero_grad()
        F.mse_loss(model(y, "valid"), y[..., 6:-6, 6:-6]).backward()
        optimiser.step()

    return step


def compare(seconds: float) -> dict[str, float]:
    """Milliseconds a step of each way, and for how many seconds each is tried."""
    all_ = torch.get_num_threads()
    ways = {"one thread": 1, f"{all_} threads": all_, "by trial": None}
    runs = {way: (Threads(wanted), steps()) for way, wanted in ways.items()}
    spent, done = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0)
    while min(spent.values()) < seconds:
        for way, (threads, step) in runs.items():
            began = time.perf_counter()
            while time.perf_counter() - began < TURN:
                threads(step)
                done[way] += 1
            spent[way] += time.perf_counter() - began
    return {way: 1e3 * spent[way] / done[way] for way in ways}


def main() -> None:
    args = options(__doc__, threads=2, seconds=20.0, record=False)
    common, rows = {"model": "9-1-5", "seconds": args.seconds} | facts(), []
    for busy in (False, True):
        with other_program(busy) as load:
            ms = compare(args.seconds)
        for way, each in ms.items():
            row = {"way": way, "busy": busy, "load": load, "ms_a_step": round(each, 2)}
            row["of_one_thread"] = round(each / ms["one thread"], 2)
            print(row, flush=True)
            rows.append(row | common)
    if args.record:
        Rows("threads").replace(rows)


if __name__ == "__main__":
    main()
