"""Kinds of pictures × what happens: kept, converted and said, or refused in a line.

Run as a program, it prints the table: ``python -m tests.test_picture_kinds``.
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from srcnn_lib import images, methods

GREY = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (20, 1))
RGB = np.dstack([GREY, GREY[::-1, ::-1], 255 - GREY])
RGBA, CMYK = np.dstack([RGB, GREY]), np.dstack([255 - RGB, 0 * GREY])
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def deep(picture):
    return picture.astype(np.uint16) * 257


def by_pillow(kind, mode, **more):
    blob, picture = io.BytesIO(), {"L": GREY, "RGBA": RGBA, "CMYK": CMYK}.get(mode, RGB)
    picture = deep(GREY) if mode == "I;16" else picture
    image = Image.fromarray(picture, "CMYK" if mode == "CMYK" else None)
    image = image if mode == "I;16" else image.convert(mode)
    image.save(blob, kind, **more)
    return blob.getvalue()


def by_tifffile(picture, **more):
    blob = io.BytesIO()
    tifffile.imwrite(blob, picture, **more)
    return blob.getvalue()


#: Pillow's modes that each format can hold.
MODES = {"PNG": "1 L LA P RGB RGBA I;16", "JPEG": "L RGB CMYK", "BMP": "1 L P RGB",
         "TIFF": "1 L LA P RGB RGBA CMYK LAB YCbCr I;16 I F", "GIF": "1 L P RGB RGBA",
         "WEBP": "RGB RGBA", "AVIF": "RGB RGBA", "PPM": "1 L RGB"}  # fmt: skip


def kinds():
    """Name, content of the file, and what should happen: the array's shape and type,
    with notes, or words of the error."""
    shapes = dict.fromkeys("1 L I;16 I".split(), (20, 24)) | dict.fromkeys(
        "LA RGBA".split(), (20, 24, 4))  # fmt: skip
    for kind, modes in MODES.items():
        for mode in modes.split():
            shape = shapes.get(mode, (20, 24, 3))
            shape = (20, 24, 3) if (kind, mode) == ("GIF", "L") else shape
            right = [*shape, "uint16" if mode[0] == "I" else "uint8"]
            right += [f"{mode} became"] * (mode in ("CMYK", "LAB"))
            yield (f"{kind} {mode}", by_pillow(kind, mode),
                   "32 bits" if mode == "F" else right)  # fmt: skip
    index = int(np.asarray(Image.fromarray(RGB).convert("P"))[0, 0])
    for mode, clear in {"1": 1, "L": 50, "P": index, "RGB": (0, 230, 255)}.items():
        content = by_pillow("PNG", mode, transparency=clear)
        yield f"PNG {mode}, one colour clear", content, [20, 24, 4, "uint8"]
    content = by_pillow("PNG", "I;16", transparency=2570)
    yield "PNG I;16, one colour clear", content, [20, 24, 4, "uint16"]
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        rest = [Image.fromarray(np.roll(RGB, 5 * k, 1)) for k in (1, 2, 3)]
        more = {"save_all": True, "append_images": rest}
        content = by_pillow(kind, "RGB", **more)
        yield f"{kind} of 4 pictures", content, [20, 24, 3, "uint8", "first of 4"]
    yield from deep_tiffs()
    content = by_pillow("JPEG", "CMYK", icc_profile=SRGB)
    said = [20, 24, 3, "uint8", "without a colour profile"]
    yield "JPEG CMYK, profile of RGB", content, said
    content = by_pillow("PNG", "L", icc_profile=SRGB)
    yield "PNG L, profile of RGB", content, [20, 24, "uint8", "colour profile, of"]
    blob = io.BytesIO()
    Image.fromarray(RGB).save(blob, "EPS")
    yield "EPS", blob.getvalue(), "not a picture"


def deep_tiffs():
    """TIFF of 16 bits, of odd numbers and of odd channels."""
    colour = {"photometric": "rgb"}
    grey, rgb, rgba = deep(GREY), deep(RGB), deep(RGBA)
    for packed in (None, "lzw", "zstd", "deflate", "packbits"):
        content = by_tifffile(rgb, compression=packed, **colour)
        yield f"TIFF RGB16 {packed}", content, [20, 24, 3, "uint16"]
    content = by_tifffile(np.moveaxis(rgb, 2, 0), planarconfig="separate", **colour)
    yield "TIFF RGB16 planar", content, [20, 24, 3, "uint16"]
    yield "TIFF RGBA16", by_tifffile(rgba, **colour), [20, 24, 4, "uint16"]
    content = by_tifffile(rgb[None].repeat(4, 0), **colour)
    yield "TIFF RGB16 of 4", content, [20, 24, 3, "uint16", "first of 4"]
    alpha = {"photometric": "minisblack", "planarconfig": "contig"}
    content = by_tifffile(rgb[..., :2], extrasamples=["unassalpha"], **alpha)
    yield "TIFF grey and alpha 16", content, [20, 24, 4, "uint16"]
    for picture in (np.dstack([RGB, RGB[..., :2]]), np.dstack([rgb, grey, grey])):
        content = by_tifffile(picture, planarconfig="contig", **colour)
        bits = str(picture.dtype)
        yield f"TIFF 5 × {bits}", content, [20, 24, 3, bits, "channels besides colour"]
    for kind in ("float16", "float32", "float64", "int16", "uint32"):
        content = by_tifffile(RGB.astype(kind), **colour)
        yield f"TIFF RGB {kind}", content, kind
    content = by_tifffile(rgba, photometric="separated")
    yield "TIFF CMYK16", content, "SEPARATED"


ALL = list(kinds())


def outcome(content, folder):
    """(array or None, words)."""
    path = Path(folder) / "p.png"
    path.write_bytes(content)
    try:
        array, facts = images.read_with_facts(path)
    except images.ImageError as e:
        assert str(e).startswith(f"{path}: ") and "\n" not in str(e)
        return None, str(e)
    return array, "; ".join(facts.notes)


@pytest.mark.parametrize("name, content, right", ALL, ids=[k[0] for k in ALL])
def test_a_kind(tmp_path, name, content, right):
    if any(packed in name for packed in ("lzw", "zstd")):
        try:
            import imagecodecs  # noqa: F401
        except ImportError:
            right = "pip install imagecodecs"
    array, said = outcome(content, tmp_path)
    if isinstance(right, str):
        assert array is None and right in said
        return
    words = [w for w in right if isinstance(w, str)][1:]
    assert [*array.shape, str(array.dtype)] == right[: len(right) - len(words)], said
    assert all(w in said for w in words) and bool(said) == bool(words), said
    if "16" in name and "PNG" not in name and "RGB" in name:
        assert np.array_equal(array[..., :3], deep(RGB))
    if "clear" in name:
        assert set(np.unique(array[..., 3])) == {0, np.iinfo(array.dtype).max}


@pytest.mark.parametrize("under", [0, 255, None])  # None: noise
@pytest.mark.parametrize("top", [0, 1, 3])  # nothing is seen of 3/255 either
def test_no_ring_round_a_transparent_picture(under, top):
    """White on white stays white, whatever colours lie where nothing is seen."""
    y, x = np.mgrid[:48, :48]
    alpha = np.round(255 * np.clip(16.5 - np.hypot(x - 23.5, y - 23.5), 0, 1))
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3))
    hidden = noise if under is None else np.full((48, 48, 3), under)
    colours = np.where(alpha[..., None] == 0, hidden, 255)
    alpha = np.where(alpha == 0, top, alpha)
    logo = np.dstack([colours, alpha]).astype(np.uint8)
    for picture in (logo, deep(logo)):
        out = methods.upscale(methods.bicubic, picture, 3).astype(float)
        out /= np.iinfo(picture.dtype).max
        assert (1 - out[..., :3]).max() < 0.002


@pytest.mark.parametrize("suffix", images.SUFFIXES)
@pytest.mark.parametrize("picture", [GREY, RGB, RGBA, deep(GREY), deep(RGBA)])
def test_written_facts_are_kept_or_said(tmp_path, suffix, picture):
    exif = Image.Exif()
    exif[271], exif[34665] = "maker", {36867: "2026:01:01 00:00:00"}
    srgb = SRGB if picture.ndim > 2 else SRGB[:16] + b"GRAY" + SRGB[20:]
    facts = images.Facts(srgb, exif.tobytes(), (300.0, 300.0))
    path = tmp_path / f"a{suffix}"
    try:
        lost = " ".join(images.write(path, picture, facts))
    except images.ImageError as e:
        is_clear = picture.shape[2:] == (4,) and suffix in (".jpg", ".jpeg", ".bmp")
        is_deep = picture.dtype == np.uint16 and "tif" not in suffix
        assert (is_clear or is_deep) and str(path) in str(e)
        assert not path.exists()
        return
    array, found = images.read_with_facts(path)
    assert array.shape[:2] == picture.shape[:2] and found.notes == ()
    assert ("profile" in lost) != (found.profile == srgb)
    assert ("EXIF" in lost) != (found.exif is not None)
    assert ("resolution" in lost) != (found.dpi is not None)
    if found.exif:
        again = Image.Exif()
        again.load(found.exif)
        assert again[271] == "maker" and again.get_ifd(34665)[36867][:4] == "2026"
    if found.dpi:
        assert np.allclose(found.dpi, 300, atol=0.1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, content, _ in ALL:
            array, said = outcome(content, folder)
            got = said.partition("p.png: ")[2]
            if array is not None:
                got = f"{array.dtype} {array.shape}" + f"; {said}" * bool(said)
            print(f"{name:<28}{got}", file=sys.stdout)
