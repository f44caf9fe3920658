"""Mutated pictures: each is read, or is one ImageError, within five seconds.

``python -m tests.mutate_pictures 1000``: so many files per format, from seeds of
all modes of `tests.test_picture_kinds`; counts what happens and prints any fault.
"""

import collections
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from srcnn_lib import images
from tests.test_picture_kinds import ALL


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """A few bytes changed, a part cut out or doubled, or the end cut off."""
    data = bytearray(content)
    for _ in range(generator.integers(1, 6)):
        how, at = generator.integers(5), int(generator.integers(len(data) or 1))
        if how < 3 and data:
            at = at if how else min(at, int(generator.integers(64)))
            data[min(at, len(data) - 1)] = generator.choice(
                [0, 255, generator.integers(256)]
            )
        elif how == 3:
            part = data[at : at + int(generator.integers(1, 40))]
            data[at : at + len(part) * int(generator.integers(2))] = part * 2
        elif generator.integers(4) == 0:
            del data[at:]
    return bytes(data)


def main(count: int) -> int:
    faults = 0
    seeds = collections.defaultdict(list)
    for name, content, _ in ALL:
        seeds[name.split()[0]].append(content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.png"
        for kind, contents in seeds.items():
            generator, tally, slowest = (
                np.random.default_rng(26),
                collections.Counter(),
                0,
            )
            for n in range(count):
                path.write_bytes(mutated(contents[n % len(contents)], generator))
                began = time.perf_counter()
                try:
                    images.read_with_facts(path)
                    tally["read"] += 1
                except images.ImageError:
                    tally["refused"] += 1
                except BaseException as e:
                    tally[f"FAULT {type(e).__name__}: {e}"[:120]] += 1
                    faults += 1
                    if isinstance(e, KeyboardInterrupt):
                        raise
                slowest = max(slowest, time.perf_counter() - began)
            faults += slowest > 5
            print(
                f"{kind:<6}{count} files: {dict(tally)}, slowest {slowest:.2f} s",
                flush=True,
            )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
