"""ANR and A+ with more atoms and more samples, on Set5 at x3.

    python benchmarks/anchor_study.py

Learns dictionaries of several sizes from T91 and makes ANR and A+ of them;
that of 1,024 atoms is the book's.  Nothing is chosen by this: the book's
methods keep the authors' 1,024 atoms and 5 million samples.  Writes
data/studies/anchors.json after every row; a second start goes on where the
first ended.
"""

import datetime
import json
import time

import torch

from srcnn_lib import checkpoints, datasets, protocol
from srcnn_lib.methods import anchored, trained, zeyde
from srcnn_lib.models import describe

SCALE = 3
FILE = datasets.data_folder() / "studies" / "anchors.json"
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
    images = list(datasets.load("T91").values())
    test = datasets.load("Set5")
    rows = json.loads(FILE.read_text("utf-8")) if FILE.exists() else []
    done = {(r["method"], r["atoms"], r["samples"]) for r in rows}
    dictionaries = {}
    for method, atoms, samples in PLAN:
        if (method, atoms, samples) in done:
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
            learnt = anchored.learn_aplus(
                images, SCALE, dictionary, most=samples
            )
            call = anchored.aplus(learnt, SCALE, "cpu")
        scores = protocol.evaluate(call, test, SCALE)
        rows.append(
            {
                "method": method,
                "atoms": atoms,
                "samples": samples,
                "psnr_db": round(protocol.mean(scores)[0], 4),
                "minutes": round((time.perf_counter() - began) / 60, 2),
                "device": describe(torch.device("cpu")),
                "date": datetime.date.today().isoformat(),
            }
        )
        print(rows[-1], flush=True)
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        checkpoints.write_atomically(FILE, text.encode())


if __name__ == "__main__":
    main()
