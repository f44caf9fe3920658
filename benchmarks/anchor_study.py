"""ANR and A+ with more atoms and more samples, on Set5 at x3; and A+'s packing.

    python benchmarks/anchor_study.py

Learns dictionaries of several sizes from T91 and makes ANR and A+ of them; the one of
1,024 atoms is the book's.  Nothing is chosen by this: the book's methods keep the
authors' 1,024 atoms and 5 million samples.  What packing A+ for a file costs is
measured on every tenth picture of T91, and the samples are of the others (the atoms
are the book's, of all).  Writes data/studies/packing.json, too.
"""

import time

from benchmarks.rows import SCALE, Rows, facts, mean_db, options
from srcnn_lib import datasets, protocol
from srcnn_lib.methods import anchored, trained, zeyde

#: Method, atoms, samples behind the matrices (None: the atoms themselves).
PLAN = [
    ("anr", 256, None), ("anr", 1024, None), ("aplus", 256, 500_000),
    ("aplus", 1024, 500_000), ("aplus", 1024, 2_000_000), ("anr", 2048, None),
]  # fmt: skip


def record_packing(rows: Rows, scale: int, samples: int = 500_000) -> None:
    """PSNR of held-out pictures by A+ as learnt and as from a file."""
    settings = {"method": "aplus, packed", "scale": scale, "samples": samples}
    if rows.find(**settings):
        return
    pictures = dict(datasets.load("T91").items())
    held_out = {name: pictures[name] for name in [*pictures][::10]}
    rest = [image for name, image in pictures.items() if name not in held_out]
    pair = trained.parts("ksvd", scale)
    learnt = anchored.learn_aplus(rest, scale, pair, most=samples)
    packed = {k: t.float() for k, t in anchored.pack(learnt, scale).items()}
    row = settings | {"judged_by": f"{len(held_out)} held-out pictures of T91"}
    ways = ("psnr_db", learnt), ("packed_psnr_db", anchored.unpack(**packed))
    for name, anchors in ways:
        method = anchored.aplus(anchors, scale)
        scores = protocol.evaluate(method, held_out, scale)
        row[name] = round(protocol.mean(scores)[0], 4)
    print(rows.add(row | facts()), flush=True)


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
    for scale in protocol.SCALES:
        record_packing(Rows("packing"), scale)


if __name__ == "__main__":
    main()
