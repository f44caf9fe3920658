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
#: What `planes` makes of a picture, and how many planes.
COLOURS = {"y": 1, "ycbcr": 3, "rgb": 3}
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
PathLike = str | os.PathLike


class ImageError(ValueError):
    """A picture that can't be read or written; the message names the file."""


def read(path: PathLike) -> np.ndarray:
    """Read a picture as it should be seen: EXIF rotation is applied.

    Returns an array (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA; uint8 0…255, or
    uint16 0…65535 for 16-bit grey and 16-bit TIFF.  Palettes become RGB or RGBA; Pillow
    reads 16-bit colour PNG as 8 bits.  Raises `ImageError`.
    """
    try:
        if os.path.isdir(path):
            raise ImageError("is a folder; give one picture")
        with Image.open(path) as opened:
            if opened.format == "TIFF" and 16 in opened.tag_v2.get(258, ()):
                return _read_deep_tiff(path)
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
    if image.mode[0] in "IF":  # 16-bit grey, or 32 bits a pixel
        array = np.asarray(image)
        if image.mode == "F" or array.min() < 0 or array.max() > 65535:
            raise ImageError("32 bits a pixel; save it with 8 or 16 bits")
        return array.astype(np.uint16)
    if image.has_transparency_data:
        return np.array(image.convert("RGBA"))
    return np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _read_deep_tiff(path: PathLike) -> np.ndarray:
    """16-bit TIFF, of which Pillow would give the upper 8 bits only."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        is_one = file.series[0].size == page.size and page.samplesperpixel in (1, 3, 4)
        # Photometric: 0 where 0 is white, 1 where 0 is black, 2 for RGB.
        if not is_one or page.photometric > 2 or page.dtype != np.uint16:
            raise ImageError("not one grey, RGB or RGBA picture of whole numbers")
        array, turn = page.asarray(), page.tags.valueof(274, default=1)  # EXIF's
    if page.axes == "SYX":  # plane after plane
        array = np.moveaxis(array, 0, -1)
    if page.photometric == 0:
        array = 65535 - array
    array = array[:: -1 if turn in (3, 4, 6, 7) else 1]
    array = array[:, :: -1 if turn in (2, 3, 7, 8) else 1]
    return np.ascontiguousarray(array.swapaxes(0, 1) if turn >= 5 else array)


def colour_profile(path: PathLike, image: np.ndarray) -> bytes | None:
    """The ICC profile in a file; None if for other channels (CMYK) than `read` gave."""
    with Image.open(path) as opened:
        profile = opened.info.get("icc_profile") or b""
    channels = b"GRAY" if image.ndim == 2 else b"RGB "
    # Bytes 16…19 name the channels (ICC.1:2022, section 7.2).
    return profile if profile[16:20] == channels else None


def write(path: PathLike, image: np.ndarray, profile: bytes | None = None) -> None:
    """Write a picture, whole or not at all; raises `ImageError`.

    Parameters
    ----------
    path : it ends in one of `SUFFIXES`, which gives the format.
    image : (H, W), (H, W, 3) or (H, W, 4); uint8, or uint16, in colour for TIFF only.
    profile : an ICC profile (`colour_profile`); a BMP is written without.
    """
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


def check_target(path: PathLike, image: np.ndarray, scale: int = 1) -> None:
    """Raise `ImageError` when a picture `scale` times as large can't be written."""
    suffix, target = Path(path).suffix.lower(), Path(os.path.realpath(path))
    is_jpeg, is_plain = suffix in (".jpg", ".jpeg"), suffix in (".jpg", ".jpeg", ".bmp")
    is_deep, channels = image.dtype == np.uint16, (image.shape + (1,))[2]
    # A device or a FIFO is written into, so its folder stays as it is.
    is_node = target.exists() and not target.is_file()
    changed = [p for p in (target, target.parent) if p.exists()][: 1 if is_node else 2]
    faults = {
        f"can't tell the format; end it in {', '.join(SUFFIXES)}": (
            suffix not in SUFFIXES
        ),
        "is a folder; give a file name": target.is_dir(),
        f"there is no folder {target.parent}": not target.parent.is_dir(),
        "no permission to write there": not all(os.access(p, os.W_OK) for p in changed),
        "a JPEG has at most 65,500 pixels on a side; give .png or .tif": (
            is_jpeg and max(image.shape[:2]) * scale > 65_500
        ),
        f"{suffix} has no transparency; give .png or .tif": is_plain and channels == 4,
        f"{suffix} holds 8 bits; give .png or .tif": is_plain and is_deep,
        "16-bit colour needs .tif": suffix == ".png" and is_deep and channels > 1,
    }
    for fault in faults:
        if faults[fault]:
            raise ImageError(f"{path}: {fault}")


def rgb_to_ycbcr(rgb_01: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) in 0…1 → YCbCr (H, W, 3) in 0…255, not rounded.

    BT.601, studio range: white has Y = 235, black Y = 16.
    """
    return np.asarray(rgb_01) @ RGB_TO_YCBCR.T + YCBCR_OFFSET


def ycbcr_to_rgb(ycbcr_255: np.ndarray) -> np.ndarray:
    """The inverse of `rgb_to_ycbcr`; the result may leave 0…1."""
    return (np.asarray(ycbcr_255) - YCBCR_OFFSET) @ np.linalg.inv(RGB_TO_YCBCR).T


def to_uint8(values_255: np.ndarray) -> np.ndarray:
    """Clip to 0…255 and round half up, as MATLAB's ``uint8`` does."""
    return np.floor(np.clip(values_255, 0, 255) + 0.5).astype(np.uint8)


def luma(image: np.ndarray, kind: str = "y") -> np.ndarray:
    """The luma that is measured, uint8 (H, W); a grey picture is its own luma.

    Parameters
    ----------
    image : uint8, (H, W), (H, W, 3) or (H, W, 4; alpha is ignored).
    kind : "y": BT.601 studio range 16…235, the paper's on Set5 and Set14 (MATLAB
        `rgb2ycbcr`); "gray": full range (MATLAB `rgb2gray`), the paper's on BSD200.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ValueError(f"luma is defined on uint8, not {image.dtype}; use 8 bits")
    if image.ndim == 2:
        return image
    if kind not in ("y", "gray"):
        raise ValueError(f"luma must be y or gray, not {kind!r}")
    rgb = planes(image, "rgb")
    y = rgb_to_ycbcr(rgb / 255.0)[..., 0] if kind == "y" else rgb @ RGB_TO_GRAY
    return to_uint8(y)


def planes(image: np.ndarray, colour: str = "y") -> np.ndarray:
    """What a network works on: `luma` (H, W), or three planes (H, W, 3), uint8.

    Parameters
    ----------
    image : uint8, (H, W), (H, W, 3) or (H, W, 4; alpha is ignored).
    colour : "y", "ycbcr" (rounded) or "rgb"; grey has three equal planes in RGB.
    """
    if colour not in COLOURS:
        raise ValueError(f"colour must be y, ycbcr or rgb, not {colour!r}")
    if colour == "y":
        return luma(image)
    rgb = np.dstack([image] * 3) if np.ndim(image) == 2 else np.asarray(image)
    if rgb.ndim != 3 or rgb.shape[2] not in (3, 4):
        raise ValueError(f"image must be grey or RGB, not {rgb.shape}")
    rgb = rgb[..., :3]
    return rgb if colour == "rgb" else to_uint8(rgb_to_ycbcr(rgb / 255.0))


def modcrop(image: np.ndarray, scale: int) -> np.ndarray:
    """Cut rows and columns at the end so that both divide by `scale`."""
    height, width = image.shape[:2]
    return image[: height - height % scale, : width - width % scale]


def patches(image: np.ndarray, size: int, stride: int = 1) -> np.ndarray:
    """All square windows of a picture (H, W), row by row; nothing is copied.

    Returns a view, shape (rows, columns, size, size): window [i, j] begins at pixel
    (i·stride, j·stride).
    """
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return windows[::stride, ::stride]
