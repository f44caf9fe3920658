"""ANR and A+ with more atoms and more samples, on Set5 at x3.

    python benchmarks/anchor_study.py

Learns dictionaries of several sizes from T91 and makes ANR and A+ of them; the one of
1,024 atoms is the book's.  Nothing is chosen by this: the book's methods keep the
authors' 1,024 atoms and 5 million samples.  Writes data/studies/anchors.json after
every row; a second start goes on where the first ended.
"""

import argparse
import time

from benchmarks.rows import Rows, facts
from srcnn_lib import datasets, protocol
from srcnn_lib.methods import anchored, trained, zeyde

SCALE = 3
#: Method, atoms, samples behind the matrices (None: the atoms themselves).
PLAN = [
    ("anr", 256, None),
    ("anr", 1024, None),
    ("aplus", 256, 500_000),
    ("aplus", 1024, 500_000),
    ("aplus", 1024, 2_000_000),
    ("anr", 2048, None),
]


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    images = list(datasets.load("T91").values())
    rows = Rows("anchors")
    dictionaries = {}
    for method, atoms, samples in PLAN:
        settings = {"method": method, "atoms": atoms, "samples": samples}
        if rows.find(**settings):
            continue
        if atoms == zeyde.ATOMS:
            dictionaries[atoms] = trained.dictionary(SCALE)
        elif atoms not in dictionaries:
            dictionaries[atoms] = zeyde.learn(images, SCALE, atoms=atoms)
        dictionary = dictionaries[atoms]
        began = time.perf_counter()
        if method == "anr":
            call = anchored.anr(dictionary, SCALE, "cpu")
        else:
            learnt = anchored.learn_aplus(images, SCALE, dictionary, most=samples)
            call = anchored.aplus(learnt, SCALE, "cpu")
        scores = protocol.evaluate(call, datasets.load("Set5"), SCALE)
        measured = {
            "psnr_db": round(protocol.mean(scores)[0], 4),
            "minutes": round((time.perf_counter() - began) / 60, 2),
        }
        print(rows.add(settings | measured | facts()), flush=True)


if __name__ == "__main__":
    main()
