"""ANR and A+ with more atoms and more samples, on Set5 at x3.

    python benchmarks/anchor_study.py

Learns dictionaries of several sizes from T91 and makes ANR and A+ of them; the one of
1,024 atoms is the book's.  Nothing is chosen by this: the book's methods keep the
authors' 1,024 atoms and 5 million samples.  Writes data/studies/anchors.json.
"""

import time

from benchmarks.rows import SCALE, Rows, facts, mean_db, options
from srcnn_lib import datasets
from srcnn_lib.methods import anchored, trained, zeyde

#: Method, atoms, samples behind the matrices (None: the atoms themselves).
PLAN = [
    ("anr", 256, None), ("anr", 1024, None), ("aplus", 256, 500_000),
    ("aplus", 1024, 500_000), ("aplus", 1024, 2_000_000), ("anr", 2048, None),
]  # fmt: skip


def main() -> None:
    options(__doc__)
    images = list(datasets.load("T91").values())
    rows, dictionaries = Rows("anchors"), {zeyde.ATOMS: trained.parts("ksvd", SCALE)}
    for method, atoms, samples in PLAN:
        settings = {"method": method, "atoms": atoms, "samples": samples}
        if rows.find(**settings):
            continue
        if atoms not in dictionaries:
            dictionaries[atoms] = zeyde.learn_ksvd(images, SCALE, atoms=atoms)
        learnt, began = dictionaries[atoms], time.perf_counter()
        if method == "aplus":
            learnt = anchored.learn_aplus(images, SCALE, learnt, most=samples)
        call = getattr(anchored, method)(learnt, SCALE)
        row = settings | {"psnr_db": mean_db(call, "Set5")}
        row["minutes"] = round((time.perf_counter() - began) / 60, 2)
        print(rows.add(row | facts()), flush=True)


if __name__ == "__main__":
    main()
