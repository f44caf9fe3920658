"""Read and write pictures; luma and colour spaces; mod-crop and patches."""

import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: ITU-R BT.601 in studio range, for R, G, B in 0…1: Y 16…235, Cb Cr 16…240.
RGB_TO_YCBCR = np.array(
    [
        [65.481, 128.553, 24.966],
        [-37.797, -74.203, 112.0],
        [112.0, -93.786, -18.214],
    ]
)
YCBCR_OFFSET = np.array([16.0, 128.0, 128.0])
#: MATLAB's rgb2gray: the first row of the inverse of its NTSC matrix.
RGB_TO_GRAY = np.array([0.298936021293776, 0.587043074451121, 0.114020904255103])

#: What `planes` makes of a picture, and how many planes.
COLOURS = {"y": 1, "ycbcr": 3, "rgb": 3}

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


class ImageError(ValueError):
    """A picture that can't be read or written; the message names the file."""


def read(path: str | os.PathLike) -> np.ndarray:
    """Read a picture as it should be seen: EXIF rotation is applied.

    Returns
    -------
    Array (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA; uint8 0…255, or uint16
    0…65535 for 16-bit grey and 16-bit TIFF.  Palettes become RGB or RGBA;
    16-bit colour PNG is read as 8 bits, all that Pillow offers.

    Raises
    ------
    ImageError : when there is no such file or it is not a picture.
    """
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path}: is a folder; give one picture")
    if not path.exists():
        raise ImageError(f"{path}: no such file")
    try:
        with Image.open(path) as opened:
            if opened.format == "TIFF" and ";16" in str(opened.tile):
                return _read_deep_tiff(path)
            image = ImageOps.exif_transpose(opened)
            image.load()
    except UnidentifiedImageError:
        raise ImageError(
            f"{path}: not a picture that can be read; "
            f"give {', '.join(SUFFIXES)}"
        ) from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read it") from None
    except Image.DecompressionBombError:
        raise ImageError(
            f"{path}: more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels, the "
            "most that can be read; cut it into parts"
        ) from None
    except (OSError, SyntaxError, ValueError) as e:
        raise ImageError(f"{path}: the picture is damaged ({e})") from None
    return _to_array(image, path)


def _to_array(image: Image.Image, path: Path) -> np.ndarray:
    mode = image.mode
    if mode.startswith("I"):  # 16-bit grey; "I" may be 32 bits wide
        array = np.asarray(image)
        if array.min() < 0 or array.max() > 65535:
            raise ImageError(f"{path}: 32-bit grey; save it with 8 or 16 bits")
        return array.astype(np.uint16)
    if mode == "F":
        raise ImageError(f"{path}: float pixels; save it with 8 or 16 bits")
    if mode in ("1", "L"):
        return np.array(image.convert("L"))
    if mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        return np.array(image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _read_deep_tiff(path: Path) -> np.ndarray:
    """16-bit TIFF, of which Pillow would give the upper 8 bits only."""
    from skimage.io import imread

    try:
        array = imread(path)
    except Exception as e:  # tifffile raises many kinds
        raise ImageError(f"{path}: the picture is damaged ({e})") from None
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)):
        raise ImageError(f"{path}: not one grey, RGB or RGBA picture")
    return array


def write(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write a picture under a temporary name, then rename it into place.

    Parameters
    ----------
    path : the suffix gives the format, one of `SUFFIXES`.
    image : uint8 array (H, W), (H, W, 3) or (H, W, 4); or uint16, grey in
        PNG and TIFF, colour in TIFF only.

    Raises
    ------
    ImageError : for a format that can't hold the picture or a target that
        can't be written.  Nothing is left behind.
    """
    path = Path(path)
    check_target(path, image)
    suffix = path.suffix.lower()
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(suffix=suffix, dir=path.parent)
        os.close(handle)
        if image.dtype == np.uint16 and image.ndim == 3:
            from skimage.io import imsave

            imsave(temporary, image, check_contrast=False)
        else:
            Image.fromarray(image).save(temporary, **_QUALITY.get(suffix, {}))
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or e
        raise ImageError(f"{path}: can't be written ({reason})") from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


_QUALITY = {".jpg": {"quality": 95}, ".jpeg": {"quality": 95}}
#: Pixels on a side of a JPEG (libjpeg's JPEG_MAX_DIMENSION).
_JPEG_SIDE = 65_500


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_target(
    path: str | os.PathLike, image: np.ndarray, scale: int = 1
) -> None:
    """Raise `ImageError` when `write` could not write such a picture there.

    `scale`: how many times larger than `image` it will be.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ImageError(
            f"{path}: can't tell the format; end it in {', '.join(SUFFIXES)}"
        )
    if path.is_dir():
        raise ImageError(f"{path}: is a folder; give a file name")
    folder = path.parent
    if not folder.is_dir():
        raise ImageError(f"{path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK) or (
        path.exists() and not os.access(path, os.W_OK)
    ):
        raise ImageError(f"{path}: no permission to write there")
    if suffix in _QUALITY and max(image.shape[:2]) * scale > _JPEG_SIDE:
        raise ImageError(
            f"{path}: a JPEG has at most {_JPEG_SIDE:,} pixels on a side; "
            "give .png or .tif"
        )
    tiff = suffix in (".tif", ".tiff")
    if image.ndim == 3 and image.shape[2] == 4 and not (
        tiff or suffix == ".png"
    ):
        raise ImageError(
            f"{path}: {suffix} has no transparency; give .png or .tif"
        )
    if image.dtype == np.uint16:
        if not (tiff or suffix == ".png"):
            raise ImageError(
                f"{path}: {suffix} holds 8 bits; give .png or .tif"
            )
        if image.ndim == 3 and not tiff:
            raise ImageError(f"{path}: 16-bit colour needs .tif")


def rgb_to_ycbcr(rgb_01: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) in 0…1 → YCbCr (H, W, 3) in 0…255, not rounded.

    BT.601, studio range: white has Y = 235, black Y = 16.
    """
    return np.asarray(rgb_01) @ RGB_TO_YCBCR.T + YCBCR_OFFSET


def ycbcr_to_rgb(ycbcr_255: np.ndarray) -> np.ndarray:
    """The inverse of `rgb_to_ycbcr`; the result may leave 0…1."""
    inverse = np.linalg.inv(RGB_TO_YCBCR)
    return (np.asarray(ycbcr_255) - YCBCR_OFFSET) @ inverse.T


def to_uint8(values_255: np.ndarray) -> np.ndarray:
    """Clip to 0…255 and round half up, as MATLAB's ``uint8`` does."""
    return np.floor(np.clip(values_255, 0, 255) + 0.5).astype(np.uint8)


def luma(image: np.ndarray, kind: str = "y") -> np.ndarray:
    """The luma that is measured, uint8 (H, W).

    Parameters
    ----------
    image : uint8, (H, W), (H, W, 3) or (H, W, 4; alpha is ignored).  A grey
        picture is its own luma, whichever the kind.
    kind : ``"y"``: BT.601 studio range 16…235, the paper's on Set5 and Set14
        (MATLAB ``rgb2ycbcr``); ``"gray"``: full range (MATLAB ``rgb2gray``),
        the paper's on BSD200.

    Raises
    ------
    ValueError : for another kind or another shape.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ValueError(
            f"luma is defined on uint8, not {image.dtype}; save it with 8 bits"
        )
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(f"image must be grey or RGB, not {image.shape}")
    rgb = image[..., :3]
    if kind == "y":
        return to_uint8(rgb_to_ycbcr(rgb / 255.0)[..., 0])
    if kind == "gray":
        return to_uint8(rgb @ RGB_TO_GRAY)
    raise ValueError(f"luma must be y or gray, not {kind!r}")


def planes(image: np.ndarray, colour: str = "y") -> np.ndarray:
    """What a network works on: the luma alone, or three planes.

    Parameters
    ----------
    image : uint8, (H, W), (H, W, 3) or (H, W, 4; alpha is ignored).
    colour : ``"y"``: `luma`; ``"ycbcr"``: luma and chroma, rounded;
        ``"rgb"``: as it is.  A grey picture has three equal planes in RGB.

    Returns
    -------
    uint8, (H, W) for ``"y"`` and (H, W, 3) for the others.

    Raises
    ------
    ValueError : for another colour or shape.
    """
    if colour == "y":
        return luma(image)
    if colour not in COLOURS:
        raise ValueError(f"colour must be y, ycbcr or rgb, not {colour!r}")
    image = np.asarray(image)
    if image.ndim == 2:
        image = np.dstack([image] * 3)
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(f"image must be grey or RGB, not {image.shape}")
    rgb = image[..., :3]
    if colour == "rgb":
        return rgb
    return to_uint8(rgb_to_ycbcr(rgb / 255.0))


def modcrop(image: np.ndarray, scale: int) -> np.ndarray:
    """Cut rows and columns at the end so that both divide by `scale`."""
    height, width = image.shape[:2]
    return image[: height - height % scale, : width - width % scale]


def patches(image: np.ndarray, size: int, stride: int = 1) -> np.ndarray:
    """All square windows of a picture, row by row.

    Parameters
    ----------
    image : array (H, W).
    size, stride : of the windows, in pixels.

    Returns
    -------
    View, shape (rows, columns, size, size): window [i, j] begins at pixel
    (i·stride, j·stride).  Nothing is copied.
    """
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return windows[::stride, ::stride]
