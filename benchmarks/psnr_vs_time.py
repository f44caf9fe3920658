"""PSNR against time: every method, on Set14 at x3, in one run.

    python benchmarks/psnr_vs_time.py [--threads 1] [--repeats 3] [--record]

The methods take turns.  A picture's time is the median of its rounds, a method's time
the mean over the pictures.  Loading, making matrices where a method has them, and a
first call on a small picture are not timed.  With --record the rows go to
data/studies/psnr_vs_time.json, which chapter 7 draws.  --dataset: for a short trial.
"""

from benchmarks.rows import SCALE, Rows, facts, mean_db, options, seconds_in_turn
from srcnn_lib import methods

ENTRIES = [  # method and model
    ("bicubic", None), ("sc", "official/yang"),
    *((name, None) for name in "sc ksvd ne-nnls ne-lle gr anr aplus kk".split()),
    ("srcnn", "official/9-1-5-91"), ("srcnn", "official/9-5-5-imagenet"),
    *(("srcnn", arch) for arch in ("9-1-5", "9-3-5", "9-5-5")),
]  # fmt: skip


def main() -> None:
    args = options(__doc__, threads=1, repeats=3, dataset="Set14", record=False)
    calls = {entry: methods.get(entry[0], model=entry[1], scale=SCALE, device="cpu")
             for entry in ENTRIES}  # fmt: skip
    taken = seconds_in_turn(calls, args.dataset, args.repeats)
    common = {"dataset": args.dataset, "scale": SCALE, "repeats": args.repeats}
    rows, common = [], common | facts()
    for (method, model), seconds in taken.items():
        db, label = mean_db(calls[method, model], args.dataset), methods.LABELS[method]
        row = {"method": method, "model": model, "psnr_db": db, "seconds": seconds}
        rows.append(row | common)
        print(f"{label + (f' {model}' if model else ''):32}{db:8.2f} dB{seconds:9.3f} s"
              f"{seconds / rows[0]['seconds']:9.1f} × bicubic")  # fmt: skip
    if args.record:
        Rows("psnr_vs_time").replace(rows)


if __name__ == "__main__":
    main()
