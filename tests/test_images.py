"""Pictures of every kind in and out; luma; patches."""

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from tifffile import imwrite

from srcnn_lib import images


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_luma_of_known_colours():
    rgb = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]])
    rgb = rgb.astype(np.uint8)
    assert images.luma(rgb).tolist() == [[16, 235, 81, 41]]
    assert images.luma(rgb, "gray").tolist() == [[0, 255, 76, 29]]
    assert np.array_equal(images.luma(rgb[..., 0]), rgb[..., 0])
    with pytest.raises(ValueError, match="y or gray"):
        images.luma(rgb, "v")
    with pytest.raises(ValueError, match="uint8"):
        images.luma(rgb / 255)


def test_ycbcr_and_back(rng):
    rgb = rng.random((5, 6, 3))
    assert np.allclose(images.ycbcr_to_rgb(images.rgb_to_ycbcr(rgb)), rgb)


def test_modcrop_and_patches(rng):
    image = rng.random((10, 13))
    assert images.modcrop(image, 4).shape == (8, 12)
    windows = images.patches(image, 3, stride=2)
    assert windows.shape == (4, 6, 3, 3)
    assert np.array_equal(windows[1, 2], image[2:5, 4:7])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3)])
def test_lossless_round_trip(tmp_path, rng, suffix, shape):
    image = rng.integers(0, 256, shape).astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    images.write(path, image)
    assert np.array_equal(images.read(path), image)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_sixteen_bits_and_alpha_round_trip(tmp_path, rng):
    deep = rng.integers(0, 65536, (7, 9)).astype(np.uint16)
    for suffix in (".png", ".tif"):
        images.write(tmp_path / f"g{suffix}", deep)
        assert np.array_equal(images.read(tmp_path / f"g{suffix}"), deep)
    colour = rng.integers(0, 65536, (7, 9, 3)).astype(np.uint16)
    images.write(tmp_path / "c.tif", colour)
    assert np.array_equal(images.read(tmp_path / "c.tif"), colour)
    rgba = rng.integers(0, 256, (7, 9, 4)).astype(np.uint8)
    images.write(tmp_path / "a.png", rgba)
    assert np.array_equal(images.read(tmp_path / "a.png"), rgba)


def test_palettes_bilevel_and_exif(tmp_path, rng):
    rgb = rng.integers(0, 256, (8, 6, 3)).astype(np.uint8)
    palette = Image.fromarray(rgb).quantize(16)
    palette.save(tmp_path / "p.png")
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(images.read(tmp_path / "p.png"), expected)
    palette.save(tmp_path / "t.png", transparency=0)
    assert images.read(tmp_path / "t.png").shape == (8, 6, 4)
    Image.fromarray(rgb[..., 0]).convert("1").save(tmp_path / "b.png")
    assert set(np.unique(images.read(tmp_path / "b.png"))) <= {0, 255}
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter to the right to see it upright
    Image.fromarray(rgb).save(tmp_path / "e.png", exif=exif)
    upright = np.rot90(rgb, -1)
    assert np.array_equal(images.read(tmp_path / "e.png"), upright)


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("text.png", b"hello", "not a picture"),
        ("empty.jpg", b"", "not a picture"),
        ("text.tif", b"hello", "not a picture"),
    ],
)
def test_unreadable(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(images.ImageError, match=said) as caught:
        images.read(path)
    assert name in str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiff_is_seen_upright(tmp_path, rng, orientation):
    """As Pillow turns the same picture with 8 bits."""
    stored = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    shallow = Image.fromarray(stored)
    shallow.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(shallow))
    tag = (274, "H", 1, orientation, True)
    layouts = {"contig": stored, "separate": stored.transpose(2, 0, 1)}
    for layout, content in layouts.items():
        imwrite(
            tmp_path / "d.tif",
            content.astype(np.uint16) * 257,
            photometric="rgb",
            planarconfig=layout,
            extratags=[tag],
        )
        assert np.array_equal(images.read(tmp_path / "d.tif"), upright * np.uint16(257))


def test_deep_tiff_where_zero_is_white(tmp_path, rng):
    for kind in (np.uint8, np.uint16):
        grey = rng.integers(0, 256, (5, 7)).astype(kind)
        imwrite(tmp_path / "w.tif", np.iinfo(kind).max - grey, photometric="miniswhite")
        assert np.array_equal(images.read(tmp_path / "w.tif"), grey)


def test_a_cut_off_deep_tiff_is_named_once(tmp_path, rng):
    path = tmp_path / "d.tif"
    images.write(path, rng.integers(0, 65536, (9, 9, 3)).astype(np.uint16))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(images.ImageError) as caught:
        images.read(path)
    assert str(caught.value).count("d.tif") == str(caught.value).count("damaged") == 1


def profile_of(space: str) -> bytes:
    """An ICC profile whose header names these channels."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb[:16] + space.encode() + srgb[20:]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_colour_profile_goes_with_the_picture(tmp_path, rng, suffix):
    rgb = rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)
    kinds = {"RGB ": [rgb], "GRAY": [rgb[..., 0]]}
    if suffix == ".tif":
        kinds["RGB "].append(rgb.astype(np.uint16))
    for space, pictures in kinds.items():
        for picture in pictures:
            path, profile = tmp_path / f"a{suffix}", profile_of(space)
            images.write(path, picture, profile)
            assert images.colour_profile(path, images.read(path)) == profile
            images.write(path, picture)
            assert images.colour_profile(path, picture) is None


def test_a_profile_for_other_channels_is_left_out(tmp_path, rng):
    rgb = Image.fromarray(rng.integers(0, 256, (6, 7, 3)).astype(np.uint8))
    path = tmp_path / "a.jpg"
    rgb.convert("CMYK").save(path, icc_profile=profile_of("CMYK"))
    assert images.colour_profile(path, images.read(path)) is None
    path = tmp_path / "a.png"
    rgb.convert("LA").save(path, icc_profile=profile_of("GRAY"))
    assert images.read(path).shape == (6, 7, 4)
    assert images.colour_profile(path, images.read(path)) is None


def test_cut_off_picture_missing_file_and_folder(tmp_path, rng):
    path = tmp_path / "a.png"
    images.write(path, rng.integers(0, 256, (99, 99)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(images.ImageError, match="damaged"):
        images.read(path)
    with pytest.raises(images.ImageError, match="no such file"):
        images.read(tmp_path / "b.png")
    with pytest.raises(images.ImageError, match="folder"):
        images.read(tmp_path)


def test_targets_that_cannot_be_written(tmp_path):
    image = np.zeros((4, 4), dtype=np.uint8)
    rgba = np.zeros((4, 4, 4), dtype=np.uint8)
    (tmp_path / "d.png").mkdir()
    for name, picture, said in [
        ("a.xyz", image, "format"),
        ("a", image, "format"),
        ("d.png", image, "folder"),
        ("no/a.png", image, "no folder"),
        ("a.jpg", rgba, "transparency"),
        ("a.jpg", image.astype(np.uint16), "8 bits"),
        ("a.png", rgba.astype(np.uint16), ".tif"),
    ]:
        with pytest.raises(images.ImageError, match=said):
            images.write(tmp_path / name, picture)
    assert [p.name for p in tmp_path.iterdir()] == ["d.png"]


def test_too_large_to_be_read_or_written(tmp_path, monkeypatch):
    long = np.zeros((1, 65_501), dtype=np.uint8)
    with pytest.raises(images.ImageError, match=r"a.jpg: .* 65,500 .*\.png"):
        images.write(tmp_path / "a.jpg", long)
    images.check_target(tmp_path / "a.jpg", long[:, 32_000:], 1)
    with pytest.raises(images.ImageError, match="65,500"):
        images.check_target(tmp_path / "a.jpg", long[:, 32_000:], 2)
    images.write(tmp_path / "a.jpg", long[:, 1:])
    images.write(tmp_path / "a.png", long)
    assert images.read(tmp_path / "a.png").shape == long.shape
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(images.ImageError, match="a.png: more than 2,000 pixels"):
        images.read(tmp_path / "a.png")
