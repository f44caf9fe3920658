"""PSNR against time: every method, on Set14 at x3, in one run.

    python benchmarks/psnr_vs_time.py [--threads 1] [--repeats 3] [--record]

The methods take turns.  A picture's time is the median of its rounds, a method's time
the mean over the pictures.  Loading, making matrices where a method has them, and a
first call on a small picture are not timed.  With --record the rows go to
data/studies/psnr_vs_time.json, which chapter 7 draws.  --dataset: for a short trial.
"""

from benchmarks.rows import SCALE, Rows, facts, mean_db, options, seconds_in_turn
from srcnn_lib import methods

#: Method and model.
ENTRIES = [
    ("bicubic", None),
    ("sc", "official/yang"),
    *((name, None) for name in "sc ksvd ne-nnls ne-lle gr anr aplus kk".split()),
    ("srcnn", "official/9-1-5-91"),
    ("srcnn", "official/9-5-5-imagenet"),
    *(("srcnn", arch) for arch in ("9-1-5", "9-3-5", "9-5-5")),
]


def main() -> None:
    args = options(__doc__, threads=1, repeats=3, dataset="Set14", record=False)
    calls = {
        (method, model): methods.get(method, model=model, scale=SCALE, device="cpu")
        for method, model in ENTRIES
    }
    taken = seconds_in_turn(calls, args.dataset, args.repeats)
    common = {"dataset": args.dataset, "scale": SCALE, "repeats": args.repeats}
    common |= facts()
    rows = []
    for (method, model), call in calls.items():
        row = {"method": method, "model": model, "psnr_db": mean_db(call, args.dataset)}
        rows.append(row | {"seconds": taken[method, model]} | common)
        label = methods.LABELS[method] + (f" {model}" if model else "")
        print(f"{label:32}{row['psnr_db']:8.2f} dB{rows[-1]['seconds']:9.3f} s"
              f"{rows[-1]['seconds'] / rows[0]['seconds']:9.1f} × bicubic")  # fmt: skip
    if args.record:
        Rows("psnr_vs_time").replace(rows)


if __name__ == "__main__":
    main()
