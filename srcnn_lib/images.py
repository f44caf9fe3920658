"""Read and write pictures; luma and colour spaces; mod-crop and patches."""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from .files import write_atomically

#: ITU-R BT.601 in studio range, for R, G, B in 0…1: Y 16…235, Cb Cr 16…240.
RGB_TO_YCBCR = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
)
YCBCR_OFFSET = np.array([16.0, 128.0, 128.0])
BLACK, WHITE = 16.0, 235.0  # their Y
#: MATLAB's rgb2gray: the first row of the inverse of its NTSC matrix.
RGB_TO_GRAY = np.array([0.298936021293776, 0.587043074451121, 0.114020904255103])
COLOURS = {"y": 1, "ycbcr": 3, "rgb": 3}  # what `planes` makes, and how many
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".avif")
#: Pillow is asked for these alone: for an EPS it would start another program.
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "TIFF", "WEBP", "AVIF", "GIF", "PPM")
#: Most pixels on a side.
SIDES = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383, ".avif": 32_768}
#: What of `Facts` a format can't hold.
LOSES = {".bmp": ("profile", "exif"), ".webp": ("dpi",), ".avif": ("dpi",),
         ".tif": ("exif",), ".tiff": ("exif",)}  # fmt: skip
#: EXIF's description, maker, model, software, date, artist, copyright; exposure; place.
EXIF = (270, 271, 272, 305, 306, 315, 33432, 34665, 34853)


class ImageError(ValueError):
    """A picture that can't be read or written; the message names the file."""


class Facts(NamedTuple):
    """What a file holds besides pixels: ICC profile, EXIF data, pixels per inch; and in
    words what reading changed or left out."""

    profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


def read(path: str | Path) -> np.ndarray:
    """Read a picture as it should be seen, turned as its EXIF data say, or ImageError:
    an array (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA; uint8 0…255, or uint16
    0…65535 for 16-bit grey and 16-bit TIFF.  Palettes and CMYK become RGB, grey with
    alpha RGBA, 16-bit colour PNG 8 bits; of several pictures it is the first."""
    return read_with_facts(path)[0]


def read_with_facts(path: str | Path) -> tuple[np.ndarray, Facts]:
    """What `read` gives, and what else the file holds; ImageError."""
    try:
        if os.path.isdir(path):
            raise ImageError("is a folder; give one picture")
        with open(path, "rb") as file:
            head = file.read(26)
        Image.init()
        known = [kind for kind in FORMATS if kind in Image.OPEN]
        try:
            with Image.open(path, formats=known) as opened:
                return _read(path, opened, head)
        except UnidentifiedImageError:  # TIFF of a kind that Pillow does not know?
            if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                raise
        return _read_tiff(path, 1, notes := []), Facts(notes=notes)
    except UnidentifiedImageError:
        reason = f"not a picture that can be read; give {', '.join(SUFFIXES)}"
    except (FileNotFoundError, NotADirectoryError, PermissionError) as e:
        reason = e.strerror.lower()  # no such file or directory, …
    except Image.DecompressionBombError:
        reason = f"more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels; cut it into parts"
    except (ImageError, MemoryError) as e:
        reason = str(e) or "does not fit into memory"
    except Exception as e:  # Pillow and tifffile raise many kinds
        reason = f"the picture is damaged ({' '.join(str(e).split())})"
        if "imagecodecs" in reason:
            reason = "its compression needs `pip install imagecodecs`"
    raise ImageError(f"{path}: {reason}")


def _read(path, opened: Image.Image, head: bytes) -> tuple[np.ndarray, Facts]:
    exif, notes, profile = None, [], opened.info.get("icc_profile")
    with suppress(Exception):  # what follows the first picture may be damaged, …
        if (count := getattr(opened, "n_frames", 1)) > 1:
            notes.append(f"first of {count} pictures")
    with suppress(Exception):  # … and EXIF data, too
        exif = _exif(opened.getexif())
    dpi = tuple(map(float, opened.info.get("dpi", ())))
    dpi = dpi if len(dpi) == 2 and all(1 <= n <= 65_535 for n in dpi) else None
    if opened.format == "PNG" and head[24] == 16 and head[25]:
        notes.append("16 bits read as 8")
    if opened.format == "TIFF" and 16 in opened.tag_v2.get(258, ()):
        array = _read_tiff(path, opened.tag_v2.get(274, 1), notes)
    else:
        image = ImageOps.exif_transpose(opened)
        if image.mode in ("CMYK", "LAB") or (image.mode == "LA" and profile):
            image, profile = _in_srgb(image, profile, notes), None
        elif opened.format == "PNG" and image.mode == "L" and head[24] < 8:
            with suppress(KeyError):  # a grey level of 2 or 4 bits
                image.info["transparency"] *= 255 // (2 ** head[24] - 1)
        bands = len(opened.getbands())
        if opened.format == "TIFF" and opened.tag_v2.get(277, 1) > bands:
            notes.append("channels besides colour left out")
        array = _to_array(image)
    # Bytes 16…19 name the channels (ICC.1:2022, section 7.2).
    if profile and profile[16:20] != (b"GRAY" if array.ndim == 2 else b"RGB "):
        profile = notes.append("its colour profile, of other channels, left out")
    return array, Facts(profile, exif, dpi, tuple(notes))


def _exif(old: Image.Exif) -> bytes | None:
    """What stays true of a larger picture, which is turned already."""
    found = {tag: old.get_ifd(tag) if tag > 34_000 else old.get(tag) for tag in EXIF}
    for size in (40962, 40963):
        found[34665].pop(size, None)
    new = Image.Exif()
    new.update({tag: value for tag, value in found.items() if value})
    return new.tobytes() if len(new) else None


def _in_srgb(image: Image.Image, profile: bytes | None, notes: list) -> Image.Image:
    """CMYK, L*a*b*, or grey with alpha, by its colour profile."""
    colours = image.getchannel("L") if image.mode == "LA" else image
    try:
        lab = ImageCms.createProfile("LAB") if image.mode == "LAB" else None
        both = lab or io.BytesIO(profile or b""), ImageCms.createProfile("sRGB")
        result = ImageCms.profileToProfile(colours, *both, outputMode="RGB")
        notes.append(f"{image.mode} became sRGB by its colour profile")
    except (ImageCms.PyCMSError, OSError):
        result = colours.convert("RGB")
        notes.append(f"{image.mode} became RGB without a colour profile")
    if image.mode == "LA":
        result.putalpha(image.getchannel("A"))
    return result


def _to_array(image: Image.Image) -> np.ndarray:
    """Pixels of any of Pillow's modes as grey, RGB or RGBA."""
    if image.mode[0] not in "IF":
        kind = "L" if image.mode in ("1", "L") else "RGB"
        return np.array(image.convert("RGBA" if image.has_transparency_data else kind))
    array = np.asarray(image)  # 16-bit grey, or 32 bits a pixel
    if image.mode == "F" or array.min() < 0 or array.max() > 65535:
        raise ImageError("32 bits a pixel; save it with 8 or 16 bits")
    array, clear = array.astype(np.uint16), image.info.get("transparency")
    alpha = np.where(array == clear, 0, 65535).astype(np.uint16)
    return array if clear is None else np.dstack([array] * 3 + [alpha])


def _read_tiff(path, turn: int, notes: list) -> np.ndarray:
    """TIFF of 16 bits, of which Pillow gives the upper 8 only, or of many channels."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        if page.imagewidth * page.imagelength > 2 * Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        kind, bits, planar = page.photometric, page.bitspersample, page.planarconfig
        if kind not in (0, 1, 2) or bits not in (8, 16) or page.dtype.kind != "u":
            what = f"{bits} bits in {page.dtype}, {getattr(kind, 'name', kind)}"
            raise ImageError(f"{what}: save it as grey or RGB in 8 or 16 whole bits")
        array, extra = page.asarray(), page.extrasamples
    if planar == 2 and array.ndim == 3:
        array = np.moveaxis(array, 0, 2)
    array = np.atleast_3d(array)
    colours, rest = np.split(array, [3 if kind == 2 else 1], axis=2)
    if kind == 0:  # is white
        colours = np.iinfo(array.dtype).max - colours
    if rest.shape[2] and extra[:1] != (2,):  # 2 is alpha as PNG has it
        notes.append("channels besides colour left out")
    elif rest.shape[2]:
        colours = np.dstack([colours] * (1 if kind == 2 else 3) + [rest[..., 0]])
    array = colours[..., 0] if colours.shape[2] == 1 else colours
    array = array[:: -1 if turn in (3, 4, 6, 7) else 1]
    array = array[:, :: -1 if turn in (2, 3, 7, 8) else 1]
    return np.ascontiguousarray(array.swapaxes(0, 1) if turn in (5, 6, 7, 8) else array)


def write(path: str | Path, image, facts: Facts = Facts(), quality=95) -> list[str]:
    """Write a picture, whole or not at all, or ImageError; returns in words what the
    file can't hold.  `image` is (H, W), (H, W, 3) or (H, W, 4), uint8 or uint16 (in
    colour for TIFF only).  `quality`, 1…100, is for JPEG (from 90 on all colour is
    kept), WebP and AVIF."""
    check_target(path, image)
    suffix, blob = Path(path).suffix.lower(), io.BytesIO()
    lost = [*LOSES.get(suffix, ())] + ["exif"] * (len(facts.exif or b"") > 65_000)
    lost += ["profile"] * (suffix in (".webp", ".avif") and image.ndim == 2)
    lost = [name for name in facts._fields[:3] if name in lost and getattr(facts, name)]
    facts = facts._replace(**dict.fromkeys(lost))
    try:
        if suffix in (".tif", ".tiff"):
            kind = "rgb" if image.ndim == 3 else "minisblack"
            more = {"metadata": None, "software": False, "photometric": kind}
            if facts.dpi:
                more |= {"resolution": facts.dpi, "resolutionunit": 2}
            tifffile.imwrite(blob, image, iccprofile=facts.profile, **more)
        else:
            more = {"icc_profile": facts.profile, "exif": facts.exif, "dpi": facts.dpi}
            more = {name: value for name, value in more.items() if value}
            if suffix in SIDES:
                more |= {"quality": quality, "subsampling": 0 if quality >= 90 else -1}
            if suffix == ".avif":
                more["subsampling"] = "4:4:4" if quality >= 90 else "4:2:0"
            if suffix in (".jpg", ".jpeg", ".bmp"):  # opaque, see `check_target`
                image = image[..., :3] if image.ndim > 2 else image
            kind = Image.registered_extensions()[suffix]
            Image.fromarray(np.ascontiguousarray(image)).save(blob, kind, **more)
        write_atomically(Path(path), blob.getbuffer())
    except (ValueError, OSError) as e:
        raise ImageError(f"{path}: {str(e).removeprefix(f'{path}: ')}") from None
    words = {"profile": "colour profile", "exif": "EXIF data", "dpi": "resolution"}
    return [f"{words[name]} left out" for name in lost]


def check_target(path: str | Path, image: np.ndarray, scale: int = 1) -> None:
    """Raise `ImageError` when a picture `scale` times as large can't be written."""
    suffix, target = Path(path).suffix.lower(), Path(os.path.realpath(path))
    most, is_deep = SIDES.get(suffix, 2**31 - 1), image.dtype == np.uint16
    is_clear = suffix in (".jpg", ".jpeg", ".bmp") and image.shape[2:] == (4,)
    is_clear = is_clear and image[..., 3].min() < np.iinfo(image.dtype).max
    is_rich = is_deep and suffix not in (".png", ".tif", ".tiff")
    is_node = target.exists() and not target.is_file()  # written into, not replaced
    changed = [p for p in (target, target.parent) if p.exists()][: 1 if is_node else 2]
    is_huge = suffix == ".bmp" and image.nbytes * scale**2 > 2**32 - 2**16
    is_long, kinds = max(image.shape[:2]) * scale > most, Image.registered_extensions()
    faults = {
        f"must end in {', '.join(SUFFIXES)} to tell the format": suffix not in SUFFIXES,
        f"this Pillow can't write {suffix}; give .png": suffix not in kinds,
        "is a folder; give a file name": target.is_dir(),
        f"there is no folder {target.parent}": not target.parent.is_dir(),
        "no permission to write there": not all(os.access(p, os.W_OK) for p in changed),
        f"{suffix} has at most {most:,} pixels on a side; give .png or .tif": is_long,
        "a BMP has at most 4 GiB; give .png or .tif": is_huge,
        f"{suffix} has no transparency; give .png or .tif": is_clear,
        f"{suffix} has 8 bits; give .tif, or .png for grey": is_rich,
        "16-bit colour needs .tif": suffix == ".png" and is_deep and image.ndim > 2,
    }
    for fault in filter(faults.get, faults):
        raise ImageError(f"{path}: {fault}")


def rgb_to_ycbcr(rgb_01: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) in 0…1 → BT.601's YCbCr in 0…255, not rounded; white's Y is 235."""
    return np.asarray(rgb_01) @ RGB_TO_YCBCR.T + YCBCR_OFFSET


def ycbcr_to_rgb(ycbcr_255: np.ndarray) -> np.ndarray:
    """The inverse of `rgb_to_ycbcr`; the result may leave 0…1."""
    return (np.asarray(ycbcr_255) - YCBCR_OFFSET) @ np.linalg.inv(RGB_TO_YCBCR).T


def to_uint8(values_255: np.ndarray) -> np.ndarray:
    """Clip to 0…255 and round half up, as MATLAB's ``uint8`` does."""
    return np.floor(np.clip(values_255, 0, 255) + 0.5).astype(np.uint8)


def luma(image: np.ndarray, kind: str = "y") -> np.ndarray:
    """The luma (H, W) of uint8 images; grey is its own, and alpha is ignored.  "y" has
    BT.601's studio range 16…235, the paper's on Set5 and Set14 (MATLAB's `rgb2ycbcr`),
    "gray" the full range, the paper's on BSD200 (MATLAB's `rgb2gray`)."""
    if kind not in ("y", "gray") or image.dtype != np.uint8:
        what = f"{kind!r} of {image.dtype}"
        raise ValueError(f"luma must be y or gray of 8 bits (uint8), not {what}")
    if image.ndim == 2:
        return image
    rgb = planes(image, "rgb")
    return planes(rgb, "ycbcr")[..., 0] if kind == "y" else to_uint8(rgb @ RGB_TO_GRAY)


def planes(image: np.ndarray, colour: str = "y") -> np.ndarray:
    """What a network works on: `luma` (H, W); or "ycbcr" or "rgb", uint8 (H, W, 3)."""
    if colour not in COLOURS:
        raise ValueError(f"colour must be y, ycbcr or rgb, not {colour!r}")
    if colour == "y":
        return luma(image)
    rgb = np.dstack([image] * 3) if image.ndim == 2 else image
    if rgb.ndim != 3 or rgb.shape[2] not in (3, 4):
        raise ValueError(f"image must be grey or RGB, not {rgb.shape}")
    rgb = rgb[..., :3]
    return rgb if colour == "rgb" else to_uint8(rgb_to_ycbcr(rgb / 255.0))


def modcrop(image: np.ndarray, scale: int) -> np.ndarray:
    """Cut rows and columns at the end so that both divide by `scale`."""
    height, width = image.shape[:2]
    return image[: height - height % scale, : width - width % scale]


def patches(image: np.ndarray, size: int, stride: int = 1) -> np.ndarray:
    """All square windows of a picture (H, W), as a view (rows, columns, size, size);
    window [i, j] begins at (i·stride, j·stride)."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return windows[::stride, ::stride]
