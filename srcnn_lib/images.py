"""Read and write pictures; luma and colour spaces; mod-crop and patches."""

import io
import os
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

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
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


class ImageError(ValueError):
    """A picture that can't be read or written; the message names the file."""


def read(path: str | Path) -> np.ndarray:
    """Read a picture as it should be seen, turned as its EXIF data say, or ImageError:
    an array (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA; uint8 0…255, or uint16
    0…65535 for 16-bit grey and 16-bit TIFF.  Palettes become RGB or RGBA; Pillow reads
    16-bit colour PNG as 8 bits."""
    try:
        if os.path.isdir(path):
            raise ImageError("is a folder; give one picture")
        with Image.open(path) as opened:
            if opened.format == "TIFF" and 16 in opened.tag_v2.get(258, ()):
                return _read_deep_tiff(opened)
            return _to_array(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError:
        reason = f"not a picture that can be read; give {', '.join(SUFFIXES)}"
    except (FileNotFoundError, NotADirectoryError, PermissionError) as e:
        reason = e.strerror.lower()  # no such file or directory, …
    except Image.DecompressionBombError:
        reason = f"more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels; cut it into parts"
    except (ImageError, MemoryError) as e:
        reason = str(e) or "does not fit into memory"
    except Exception as e:  # tifffile raises many kinds
        reason = f"the picture is damaged ({e})"
    raise ImageError(f"{path}: {reason}")


def _to_array(image: Image.Image) -> np.ndarray:
    """Pixels of any of Pillow's modes as grey, RGB or RGBA."""
    if image.mode[0] not in "IF":
        kind = "L" if image.mode in ("1", "L") else "RGB"
        return np.array(image.convert("RGBA" if image.has_transparency_data else kind))
    array = np.asarray(image)  # 16-bit grey, or 32 bits a pixel
    if image.mode == "F" or array.min() < 0 or array.max() > 65535:
        raise ImageError("32 bits a pixel; save it with 8 or 16 bits")
    return array.astype(np.uint16)


def _read_deep_tiff(opened: Image.Image) -> np.ndarray:
    """16-bit TIFF, of which Pillow would give the upper 8 bits only."""
    array, tags = tifffile.imread(opened.filename, key=0), opened.tag_v2
    kind, turn = tags.get(262), tags.get(274, 1)  # photometric, EXIF's orientation
    if tags.get(284) == 2:  # plane after plane
        array = np.moveaxis(array, 0, -1)
    is_known = kind in (0, 1, 2) and array.shape[2:] in ((), (3,), (4,))
    if not is_known or array.dtype != np.uint16 or opened.n_frames > 1:
        raise ImageError("not one grey, RGB or RGBA picture in 16-bit whole numbers")
    if kind == 0:  # is white
        array = 65535 - array
    array = array[:: -1 if turn in (3, 4, 6, 7) else 1]
    array = array[:, :: -1 if turn in (2, 3, 7, 8) else 1]
    return np.ascontiguousarray(array.swapaxes(0, 1) if turn >= 5 else array)


def colour_profile(path: str | Path, image: np.ndarray) -> bytes | None:
    """The ICC profile in a file; None if for other channels (CMYK) than `read` gave."""
    with Image.open(path) as opened:
        profile = opened.info.get("icc_profile") or b""
    channels = b"GRAY" if image.ndim == 2 else b"RGB "
    # Bytes 16…19 name the channels (ICC.1:2022, section 7.2).
    return profile if profile[16:20] == channels else None


def write(path: str | Path, image: np.ndarray, profile: bytes | None = None) -> None:
    """Write a picture, whole or not at all; raises `ImageError`.  `image` is (H, W),
    (H, W, 3) or (H, W, 4), uint8 or uint16 (in colour for TIFF only); `profile` is
    `colour_profile`'s, and a BMP is written without."""
    check_target(path, image)
    suffix, blob = Path(path).suffix.lower(), io.BytesIO()
    try:
        if suffix in (".tif", ".tiff"):
            kind = "rgb" if image.ndim == 3 else "minisblack"
            tifffile.imwrite(blob, image, photometric=kind, iccprofile=profile)
        else:
            kind = Image.registered_extensions()[suffix]
            Image.fromarray(image).save(blob, kind, icc_profile=profile, quality=95)
        write_atomically(Path(path), blob.getbuffer())
    except (ValueError, OSError) as e:
        raise ImageError(f"{path}: {str(e).removeprefix(f'{path}: ')}") from None


def check_target(path: str | Path, image: np.ndarray, scale: int = 1) -> None:
    """Raise `ImageError` when a picture `scale` times as large can't be written."""
    suffix, target = Path(path).suffix.lower(), Path(os.path.realpath(path))
    is_jpeg, is_deep = suffix in (".jpg", ".jpeg"), image.dtype == np.uint16
    is_long = is_jpeg and max(image.shape[:2]) * scale > 65_500  # JPEG_MAX_DIMENSION
    is_rich = (is_jpeg or suffix == ".bmp") and (is_deep or image.shape[2:] == (4,))
    is_node = target.exists() and not target.is_file()  # written into, not replaced
    changed = [p for p in (target, target.parent) if p.exists()][: 1 if is_node else 2]
    faults = {
        f"must end in {', '.join(SUFFIXES)} to tell the format": suffix not in SUFFIXES,
        "is a folder; give a file name": target.is_dir(),
        f"there is no folder {target.parent}": not target.parent.is_dir(),
        "no permission to write there": not all(os.access(p, os.W_OK) for p in changed),
        "a JPEG has at most 65,500 pixels on a side; give .png or .tif": is_long,
        f"{suffix} has 8 bits and no transparency; give .png or .tif": is_rich,
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
