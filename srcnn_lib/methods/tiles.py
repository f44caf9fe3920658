"""Large pictures in square tiles with a halo, so that little memory is needed."""

from collections import namedtuple
from collections.abc import Iterator

#: Rows and columns of one tile, as slices: `outer` is what is worked on, the tile and
#: its halo; `inner`, counted from its corner, is kept and goes to `place`.
Tile = namedtuple("Tile", "outer inner place")


def tiles(shape: tuple[int, int], size: int, halo: int) -> Iterator[Tile]:
    """Cover a picture (H, W) by tiles of at most `size`, row by row, with `halo` pixels
    more on each side, but none beyond the picture's edge."""

    def spans(length: int):
        for start in range(0, length, size):
            stop = min(start + size, length)
            first, last = max(0, start - halo), min(length, stop + halo)
            inner = slice(start - first, stop - first)
            yield slice(first, last), inner, slice(start, stop)

    for rows in spans(shape[0]):
        for columns in spans(shape[1]):
            yield Tile(*zip(rows, columns))
