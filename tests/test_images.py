"""Pictures of every kind in and out; luma; patches."""

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from tifffile import imwrite

from srcnn_lib import images


def noise(*shape, kind=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape, kind, True)


def fails(words, call, path, *args):
    """The call's ImageError is one line that names the file once, with these words."""
    with pytest.raises(images.ImageError, match=words) as error:
        call(path, *args)
    assert "\n" not in str(error.value) and str(error.value).count(str(path)) == 1


def test_luma_of_known_colours():
    rgb = np.uint8([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]])
    assert images.luma(rgb).tolist() == [[16, 235, 81, 41]]
    assert images.luma(rgb, "gray").tolist() == [[0, 255, 76, 29]]
    assert np.array_equal(images.luma(rgb[..., 0]), rgb[..., 0])
    for given, said in (((rgb, "v"), "y or gray"), ((rgb / 255,), "uint8")):
        with pytest.raises(ValueError, match=said):
            images.luma(*given)
    rgb_01 = noise(5, 6, 3) / 255
    assert np.allclose(images.ycbcr_to_rgb(images.rgb_to_ycbcr(rgb_01)), rgb_01)


def test_modcrop_and_patches():
    image, windows = noise(10, 13), images.patches(noise(10, 13), 3, stride=2)
    assert images.modcrop(image, 4).shape == (8, 12) and windows.shape == (4, 6, 3, 3)
    assert np.array_equal(windows[1, 2], image[2:5, 4:7])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_lossless_round_trip(tmp_path, channels, kind):
    image = noise(7, 9, *channels, kind=kind)
    suffixes = [".tif"] + [".png"] * (kind == np.uint8 or not channels)
    suffixes += [".bmp"] * (kind == np.uint8 and channels != (4,))
    for path in (tmp_path / f"a{suffix}" for suffix in suffixes):
        images.write(path, image)
        assert images.read(path).dtype == image.dtype
        assert np.array_equal(images.read(path), image)


def test_palettes_bilevel_transparency_and_exif(tmp_path):
    rgb, path = noise(8, 6, 3), tmp_path / "p.png"
    palette = Image.fromarray(rgb).quantize(16)
    palette.save(path)
    assert np.array_equal(images.read(path), np.asarray(palette.convert("RGB")))
    palette.save(path, transparency=0)
    assert images.read(path).shape == (8, 6, 4)
    Image.fromarray(rgb[..., 0]).save(path, transparency=3)
    assert images.read(path).shape == (8, 6, 4)
    Image.fromarray(rgb[..., 0]).convert("1").save(path)
    assert set(np.unique(images.read(path))) <= {0, 255}
    for kind in (np.uint8, np.uint16):  # TIFF where 0 is white
        imwrite(path, noise(5, 7, kind=kind), photometric="miniswhite")
        assert np.array_equal(images.read(path), ~noise(5, 7, kind=kind))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter to the right to see it upright
    Image.fromarray(rgb).save(path, exif=exif)
    assert np.array_equal(images.read(path), np.rot90(rgb, -1))


@pytest.mark.parametrize("turn", range(1, 9))
def test_16_bit_tiff_is_turned_as_pillow_turns_8_bits(tmp_path, turn):
    stored, path = noise(5, 7, 3), tmp_path / "d.tif"
    shallow = Image.fromarray(stored)
    shallow.getexif()[0x0112] = turn
    upright = np.asarray(ImageOps.exif_transpose(shallow)) * np.uint16(257)
    tags = {"photometric": "rgb", "extratags": [(274, "H", 1, turn, True)]}
    layouts = {"contig": stored, "separate": stored.transpose(2, 0, 1)}
    for layout, content in layouts.items():
        imwrite(path, content * np.uint16(257), planarconfig=layout, **tags)
        assert np.array_equal(images.read(path), upright)


def profile_of(space: str) -> bytes:
    """An ICC profile whose header names these channels."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb[:16] + space.encode() + srgb[20:]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_colour_profile_goes_with_the_picture(tmp_path, suffix):
    rgb, path = noise(6, 7, 3), tmp_path / f"a{suffix}"
    deep = [rgb.astype(np.uint16)] if suffix == ".tif" else []
    for space, pictures in {"RGB ": [rgb, *deep], "GRAY": [rgb[..., 0]]}.items():
        profile = profile_of(space)
        for picture in pictures:
            images.write(path, picture, images.Facts(profile))
            assert images.read_with_facts(path)[1].profile == profile
            images.write(path, picture)
            assert images.read_with_facts(path)[1].profile is None


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    for name, content in {"text.png": b"hello", "no.jpg": b"", "x.tif": b"II"}.items():
        (tmp_path / name).write_bytes(content)
        fails("not a picture", images.read, tmp_path / name)
    fails("no such file", images.read, tmp_path / "b.png")
    (tmp_path / "d.png").mkdir()
    fails("folder", images.read, tmp_path / "d.png")
    deep = noise(99, 99, 3, kind=np.uint16)
    for name, image in {"a.png": noise(99, 99), "a.tif": deep}.items():
        images.write(path := tmp_path / name, image)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        fails("damaged", images.read, path)
    imwrite(tmp_path / "k.tif", noise(9, 9, 4, kind=np.uint16), photometric="separated")
    fails("SEPARATED: save it as grey or RGB", images.read, tmp_path / "k.tif")
    imwrite(tmp_path / "f.tif", np.zeros((9, 9), np.float32))
    fails("8 or 16 bits", images.read, tmp_path / "f.tif")
    images.write(tmp_path / "large.png", deep[..., 0])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    fails("more than 2,000 pixels", images.read, tmp_path / "large.png")


def test_targets_that_cannot_be_written(tmp_path):
    shapes = (4, 4), (4, 4, 4), (1, 65_501)
    image, rgba, long = (np.zeros(shape, np.uint8) for shape in shapes)
    (tmp_path / "d.png").mkdir()
    for name, picture, said in [
        ("a.xyz", image, "format"), ("d.png", image, "folder"),
        ("no/a.png", image, "no folder"), ("a.jpg", rgba, "transparency"),
        ("a.jpg", image.astype(np.uint16), "8 bits"),
        ("a.png", rgba.astype(np.uint16), ".tif"), ("a.jpg", long, r"65,500 .*\.png"),
    ]:  # fmt: skip
        fails(said, images.write, tmp_path / name, picture)
    assert [p.name for p in tmp_path.iterdir()] == ["d.png"]
    images.check_target(tmp_path / "a.jpg", long[:, 32_000:], 1)
    fails("65,500", images.check_target, tmp_path / "a.jpg", long[:, 32_000:], 2)
    images.write(tmp_path / "a.jpg", long[:, 1:])
    images.write(tmp_path / "a.png", long)
