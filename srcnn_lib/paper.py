"""The numbers that the two papers print, each with its table.

ECCV: Dong, Loy, He, Tang, ECCV 2014.  TPAMI: the same authors, TPAMI 38(2),
2016, arXiv 1501.00092v3.  `checked` says how far a number is sure:
``"recomputed"`` from the authors' own models or stored MATLAB outputs,
``"printed"`` as in the paper, averages agree with their per-image rows,
``"quoted"`` as commonly quoted, not yet compared with the print.
"""

from typing import NamedTuple

SET5 = ("baby", "bird", "butterfly", "head", "woman")

#: Weights without biases (TPAMI section 4.3.2).
WEIGHTS = {"9-1-5": 8_032, "9-3-5": 24_416, "9-5-5": 57_184}


class Printed(NamedTuple):
    """One printed number.

    `metric` is "psnr_db" or "ssim"; `image` is None for a mean over the data
    set.  `model` is the authors' network, for SRCNN.
    """

    method: str
    model: str | None
    dataset: str
    scale: int
    luma: str
    metric: str
    image: str | None
    value: float
    source: str
    checked: str


_CHECKED = {"✓": "recomputed", "·": "printed", "?": "quoted"}
_91, _915, _935, _955 = (
    "official/9-1-5-91",
    "official/9-1-5-imagenet",
    "official/9-3-5-imagenet",
    "official/9-5-5-imagenet",
)

# method, model, mark, and per scale the five pictures and their mean.
_ECCV_TABLE_1 = [
    ("bicubic", None, "✓", {
        2: (37.07, 36.81, 27.43, 34.86, 32.14, 33.66),
        3: (33.91, 32.58, 24.04, 32.88, 28.56, 30.39),
        4: (31.78, 30.18, 22.10, 31.59, 26.46, 28.42)}),
    ("sc", None, "·", {
        3: (34.29, 34.11, 25.58, 33.17, 29.94, 31.42)}),
    ("ksvd", None, "·", {
        2: (38.25, 39.93, 30.65, 35.59, 34.49, 35.78),
        3: (35.08, 34.57, 25.94, 33.56, 30.37, 31.90),
        4: (33.06, 31.71, 23.57, 32.21, 27.89, 29.69)}),
    ("ne-nnls", None, "·", {
        2: (38.00, 39.41, 30.03, 35.48, 34.24, 35.43),
        3: (34.77, 34.26, 25.61, 33.45, 29.89, 31.60),
        4: (32.81, 31.51, 23.30, 32.10, 27.61, 29.47)}),
    ("ne-lle", None, "·", {
        2: (38.33, 40.00, 30.38, 35.63, 34.52, 35.77),
        3: (35.06, 34.56, 25.75, 33.60, 30.22, 31.84),
        4: (32.99, 31.72, 23.38, 32.24, 27.72, 29.61)}),
    ("anr", None, "·", {
        2: (38.44, 40.04, 30.48, 35.66, 34.55, 35.83)}),
    ("anr", None, "✓", {
        3: (35.13, 34.60, 25.90, 33.63, 30.33, 31.92),
        4: (33.03, 31.82, 23.52, 32.27, 27.80, 29.69)}),
    ("srcnn", _91, "✓", {
        2: (38.30, 40.64, 32.20, 35.64, 34.94, 36.34),
        3: (35.01, 34.91, 27.58, 33.55, 30.92, 32.39),
        4: (32.98, 31.98, 25.07, 32.19, 28.21, 30.09)}),
]  # fmt: skip

# data set, metric, method, model, then (scale, value, mark)….
_AVERAGES = [
    ("Set5", "psnr_db", "kk", None,
     (2, 36.20, "?"), (3, 32.28, "?"), (4, 30.03, "?")),
    ("Set5", "psnr_db", "aplus", None,
     (2, 36.54, "?"), (3, 32.59, "?"), (4, 30.28, "✓")),
    ("Set5", "psnr_db", "srcnn", _955,
     (2, 36.66, "✓"), (3, 32.75, "✓"), (4, 30.49, "✓")),
    ("Set5", "ssim", "bicubic", None,
     (2, 0.9299, "✓"), (3, 0.8682, "✓"), (4, 0.8104, "✓")),
    ("Set5", "ssim", "sc", None, (3, 0.8821, "?")),
    ("Set5", "ssim", "ne-lle", None,
     (2, 0.9490, "?"), (3, 0.8956, "?"), (4, 0.8402, "?")),
    ("Set5", "ssim", "kk", None,
     (2, 0.9511, "?"), (3, 0.9033, "?"), (4, 0.8541, "?")),
    ("Set5", "ssim", "anr", None,
     (2, 0.9499, "?"), (3, 0.8968, "?"), (4, 0.8419, "?")),
    ("Set5", "ssim", "aplus", None,
     (2, 0.9544, "?"), (3, 0.9088, "?"), (4, 0.8603, "?")),
    ("Set5", "ssim", "srcnn", _955,
     (2, 0.9542, "✓"), (3, 0.9090, "✓"), (4, 0.8628, "✓")),
    ("Set14", "psnr_db", "bicubic", None,
     (2, 30.23, "✓"), (3, 27.54, "✓"), (4, 26.00, "✓")),
    ("Set14", "psnr_db", "sc", None, (3, 28.31, "?")),
    ("Set14", "psnr_db", "ne-lle", None,
     (2, 31.76, "?"), (3, 28.60, "?"), (4, 26.81, "?")),
    ("Set14", "psnr_db", "kk", None,
     (2, 32.11, "?"), (3, 28.94, "?"), (4, 27.14, "?")),
    ("Set14", "psnr_db", "anr", None,
     (2, 31.80, "?"), (3, 28.65, "✓"), (4, 26.85, "?")),
    ("Set14", "psnr_db", "aplus", None,
     (2, 32.28, "?"), (3, 29.13, "✓"), (4, 27.32, "?")),
    ("Set14", "psnr_db", "srcnn", _955,
     (2, 32.45, "✓"), (3, 29.30, "✓"), (4, 27.50, "✓")),
    ("Set14", "ssim", "bicubic", None,
     (2, 0.8687, "✓"), (3, 0.7736, "✓"), (4, 0.7019, "✓")),
    ("Set14", "ssim", "sc", None, (3, 0.7954, "?")),
    ("Set14", "ssim", "ne-lle", None,
     (2, 0.8993, "?"), (3, 0.8076, "?"), (4, 0.7331, "?")),
    ("Set14", "ssim", "kk", None,
     (2, 0.9026, "?"), (3, 0.8132, "?"), (4, 0.7419, "?")),
    ("Set14", "ssim", "anr", None,
     (2, 0.9004, "?"), (3, 0.8093, "?"), (4, 0.7352, "?")),
    ("Set14", "ssim", "aplus", None,
     (2, 0.9056, "?"), (3, 0.8188, "?"), (4, 0.7491, "?")),
    ("Set14", "ssim", "srcnn", _955,
     (2, 0.9067, "✓"), (3, 0.8215, "✓"), (4, 0.7513, "✓")),
    ("BSD200", "psnr_db", "bicubic", None,
     (2, 28.38, "✓"), (3, 25.94, "✓"), (4, 24.65, "✓")),
    ("BSD200", "psnr_db", "srcnn", _955,
     (2, 30.29, "✓"), (3, 27.18, "✓"), (4, 25.60, "✓")),
    ("BSD200", "ssim", "srcnn", _955,
     (2, 0.8977, "✓"), (3, 0.7971, "✓"), (4, 0.7184, "✓")),
]  # fmt: skip

# Set14 x3 where only the ECCV paper has the number.
_ECCV_TABLE_2 = [
    ("ksvd", None, 28.67, "?"),
    ("ne-nnls", None, 28.44, "?"),
    ("srcnn", _91, 29.00, "✓"),
]
# Set5 x3 (TPAMI section 4.3): training data and filter size.
_ABLATIONS = [(_915, 32.52, "✓"), (_935, 32.66, "✓")]

#: Set5 x3 of the paper's ablations (TPAMI sections 4.3 and 4.5): experiment →
#: variant → dB, and how far the number is sure.  Of colour it is what the
#: paper calls the PSNR of the RGB image.
ABLATIONS = {
    "data": {
        "91": (32.39, "recomputed"),
        "ImageNet": (32.52, "recomputed"),
    },
    "width": {
        "128/64": (32.60, "quoted"),
        "64/32": (32.52, "recomputed"),
        "32/16": (32.26, "quoted"),
    },
    "filters": {
        "9-1-5": (32.52, "recomputed"),
        "9-3-5": (32.66, "recomputed"),
        "9-5-5": (32.75, "recomputed"),
        "11-1-7": (32.57, "quoted"),
    },
    "colour": {
        "bicubic": (34.57, "recomputed"),
        "luma": (36.37, "recomputed"),
        "RGB": (36.44, "quoted"),
    },
}
#: Seconds per picture of the widths above, in the authors' MATLAB.
WIDTH_SECONDS = {"128/64": 0.60, "64/32": 0.18, "32/16": 0.05}

_TABLE = {
    "Set5": "TPAMI Table 2",
    "Set14": "TPAMI Table 3",
    "BSD200": "TPAMI Table 4",
}


def printed() -> list[Printed]:
    """All printed numbers that one of the book's methods can be held to."""
    rows = []
    for method, model, mark, scales in _ECCV_TABLE_1:
        for scale, values in scales.items():
            for image, value in zip((*SET5, None), values):
                rows.append(
                    Printed(method, model, "Set5", scale, "y", "psnr_db",
                            image, value, "ECCV Table 1", _CHECKED[mark])
                )  # fmt: skip
    for dataset, metric, method, model, *values in _AVERAGES:
        kind = "gray" if dataset == "BSD200" else "y"
        for scale, value, mark in values:
            rows.append(
                Printed(method, model, dataset, scale, kind, metric,
                        None, value, _TABLE[dataset], _CHECKED[mark])
            )  # fmt: skip
    for method, model, value, mark in _ECCV_TABLE_2:
        rows.append(
            Printed(method, model, "Set14", 3, "y", "psnr_db",
                    None, value, "ECCV Table 2", _CHECKED[mark])
        )  # fmt: skip
    for model, value, mark in _ABLATIONS:
        rows.append(
            Printed("srcnn", model, "Set5", 3, "y", "psnr_db",
                    None, value, "TPAMI section 4.3", _CHECKED[mark])
        )  # fmt: skip
    return rows


def find(
    method: str,
    dataset: str,
    scale: int,
    *,
    model: str | None = None,
    metric: str = "psnr_db",
    image: str | None = None,
    luma: str | None = None,
) -> Printed | None:
    """The printed number, or None where the papers have none.

    `luma` is the paper's own where not given: gray on BSD200, y elsewhere.
    """
    if luma is None:
        luma = "gray" if dataset == "BSD200" else "y"
    wanted = (method, model, dataset, scale, luma, metric, image)
    for row in printed():
        if row[:7] == wanted:
            return row
    return None
