"""SC: lasso codes, dictionary learning, Yang's numbers, files."""

import json

import numpy as np
import pytest
import torch
from srcnn_lib.metrics import psnr
from torch.nn import functional as F

from srcnn_lib import checkpoints, cli, datasets, images, methods, protocol
from srcnn_lib.checkpoints import CheckpointError
from srcnn_lib.methods import sparse_coding
from srcnn_lib.methods.sparse_codes import lasso, learn_dictionary
from srcnn_lib.methods.sparse_coding import Dictionaries, SparseCoding
from srcnn_lib.resize import bicubic, imresize

needs_yang = pytest.mark.skipif(
    not (datasets.available("scsr-official") and datasets.available("Set5")),
    reason="needs scsr-official and Set5: srcnn data fetch",
)


def random_dictionary(atoms, size, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(atoms, size, generator=generator, dtype=dtype)
    return F.normalize(rows)


def random_pair(scale, atoms=40):
    lr = random_dictionary(atoms, sparse_coding.FEATURES, 1)
    hr = random_dictionary(atoms, (3 * scale) ** 2, 2)
    return Dictionaries(lr.float(), (hr - hr.mean(1, keepdim=True)).float())


@pytest.fixture(scope="module")
def photograph():
    """Luma (40, 50), 0…1."""
    picture = datasets.load("demo-test")["coffee"][100:140, 200:250]
    return images.luma(picture) / 255


@pytest.fixture
def ours():
    return methods.get("sc", scale=3, device="cpu")


# Codes ----------------------------------------------------------------------


def objective(vectors, dictionary, codes, penalty):
    error = vectors - codes @ dictionary
    return (error**2).sum(dim=1) / 2 + penalty * codes.sum(dim=1)


@pytest.mark.parametrize("penalty", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("atoms, solver", [(60, "LassoLars"), (15, "Lasso")])
def test_exact_codes_are_scikit_learns(penalty, atoms, solver):
    """Its LARS stops early where there are fewer atoms than numbers."""
    linear_model = pytest.importorskip(
        "sklearn.linear_model", reason="needs the package scikit-learn"
    )
    dictionary = random_dictionary(atoms, 20)
    vectors = random_dictionary(40, 20, seed=1)
    codes = lasso(vectors, dictionary, penalty, exact=True)
    settings = {"tol": 1e-10} if solver == "Lasso" else {}
    model = getattr(linear_model, solver)(
        alpha=penalty / 20,  # it divides the squared error by the length
        positive=True,
        fit_intercept=False,
        **settings,
    )
    theirs = [model.fit(dictionary.T.numpy(), v.numpy()).coef_ for v in vectors]
    assert np.allclose(codes, theirs, rtol=0, atol=1e-6)
    assert (codes > 0).any()
    single = lasso(vectors.float(), dictionary.float(), penalty, exact=True)
    assert torch.allclose(single.double(), codes, rtol=0, atol=1e-3)


def test_parallel_atoms_cost_nothing():
    """Twins have many best codes; each is as good as without the twin."""
    dictionary = random_dictionary(30, 10)
    twins = torch.cat([dictionary, dictionary[:10]])
    vectors = random_dictionary(50, 10, seed=1)
    alone = lasso(vectors, dictionary, 0.05, exact=True)
    codes = lasso(vectors, twins, 0.05, exact=True)
    assert torch.allclose(
        objective(vectors, twins, codes, 0.05),
        objective(vectors, dictionary, alone, 0.05),
        atol=1e-6,
    )


def test_the_originals_rule_goes_one_step_beyond():
    """The level where it ends is a corner of the path below the penalty."""
    dictionary = random_dictionary(50, 20)
    vectors = random_dictionary(30, 20, seed=1)
    codes = lasso(vectors, dictionary, 0.2)
    for vector, code in zip(vectors, codes):
        residual = vector - code @ dictionary
        level = (dictionary @ residual).max()
        assert 0 <= level < 0.2
        exact = lasso(vector[None], dictionary, level.item(), exact=True)[0]
        assert torch.allclose(code, exact, atol=1e-4)


def test_weak_vectors_have_no_code():
    dictionary = random_dictionary(30, 10)
    vectors = random_dictionary(5, 10, seed=1) * 0.09
    for exact in (False, True):
        assert not lasso(vectors, dictionary, 0.1, exact=exact).any()
        assert not lasso(-dictionary[:1] * 0, dictionary, 0.1).any()
    assert lasso(vectors[:0], dictionary, 0.1).shape == (0, 30)


def test_codes_do_not_depend_on_the_others():
    dictionary = random_dictionary(60, 20)
    vectors = random_dictionary(20, 20, seed=1)
    codes = lasso(vectors, dictionary, 0.1)
    alone = torch.cat([lasso(v[None], dictionary, 0.1) for v in vectors])
    assert torch.allclose(codes, alone, rtol=0, atol=1e-9)


# Learning -------------------------------------------------------------------


def test_learning_recovers_the_dictionary_that_made_the_samples():
    truth = random_dictionary(20, 16, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    codes = torch.zeros(3000, 20)
    for strength in (1.0, 0.5):
        atom = torch.randint(20, (3000, 1), generator=generator)
        weight = strength * torch.rand(3000, 1, generator=generator)
        codes.scatter_add_(1, atom, weight)
    samples = F.normalize(codes @ truth)
    learnt = learn_dictionary(
        samples, 30, 0.1, passes=4, batch=200, generator=generator,
        progress=False,
    )  # fmt: skip
    assert torch.allclose(learnt.norm(dim=1), torch.ones(30), atol=1e-5)
    found = (truth @ learnt.T).max(dim=1).values
    assert (found > 0.98).all(), found


def test_training_gives_coupled_dictionaries():
    photographs = datasets.load("demo-train")
    school = {name: photographs[name][:160, :160] for name in photographs}
    small = {"atoms": 96, "samples": 4000, "passes": 2, "progress": False}
    pair, card = sparse_coding.train(school, 2, seed=3, **small, device="cpu")
    again, _ = sparse_coding.train(school, 2, seed=3, **small, device="cpu")
    assert torch.equal(pair.lr, again.lr) and torch.equal(pair.hr, again.hr)
    assert pair.lr.shape == (96, 144) and pair.hr.shape == (96, 36)
    assert pair.scale == 2 and card["seed"] == 3 and card["samples"] <= 4400
    assert torch.allclose(pair.lr.norm(dim=1), torch.ones(96), atol=1e-5)
    assert pair.hr.mean(dim=1).abs().max() < 1e-5
    picture = datasets.load("demo-test")["coffee"][:200, :200]
    hr_y, lr_y = protocol.degrade(picture, 2)
    error, before = (
        np.square(sr_y - hr_y / 255)[4:-4, 4:-4].mean()
        for sr_y in (SparseCoding(pair, device="cpu")(lr_y, 2), bicubic(lr_y, 2))
    )
    assert error < 0.95 * before


def test_pictures_that_can_not_teach():
    tiny = {"dot": np.zeros((9, 9), np.uint8)}
    with pytest.raises(ValueError, match="at least 15 pixels"):
        sparse_coding.train(tiny, 3, progress=False)
    flat = {"flat": np.zeros((60, 60), np.uint8)}
    with pytest.raises(ValueError, match="768 atoms .* 0 samples"):
        sparse_coding.train(flat, 3, progress=False)


# The method -----------------------------------------------------------------


@needs_yang
def test_yangs_dictionaries_give_the_published_number():
    """Table 1: butterfly at x3; back-projection adds half a decibel."""
    picture = datasets.load("Set5")["butterfly"]
    method = methods.get("sc", model="official/yang", scale=3, device="cpu")
    hr_y, lr_y = protocol.degrade(picture, 3)
    plain = method(lr_y, 3)
    corrected = sparse_coding.back_project(plain, lr_y, 20)
    for sr_y, psnr_db in [(plain, 25.58), (corrected, 26.06)]:
        found = psnr(hr_y, images.to_uint8(sr_y * 255), crop=3)
        assert found == pytest.approx(psnr_db, abs=0.02)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", [(40, 50), (5, 50), (40, 5), (5, 5)])
def test_chunks_equal_the_whole(monkeypatch, photograph, scale, shape):
    lr_y = photograph[: shape[0], : shape[1]]
    method = SparseCoding(random_pair(scale), device="cpu")
    whole = method(lr_y, scale)
    assert whole.shape == (shape[0] * scale, shape[1] * scale)
    assert np.abs(whole - bicubic(lr_y, scale)).max() > 1e-3
    monkeypatch.setitem(sparse_coding.CHUNK, "cpu", 20)
    bands = list(method.bands(lr_y, scale))
    assert (len(bands) > 1) == (shape[0] > 5)
    assert np.abs(np.concatenate(bands) - whole).max() < 1e-5


def test_each_pixel_is_the_mean_of_its_patches(photograph):
    """One patch after the other, as the paper describes it."""
    scale, lr_y = 3, photograph[:9, :11]
    pair = random_pair(scale)._replace(penalty=0.05)
    method = SparseCoding(pair, device="cpu")
    wide = imresize(lr_y, 2)
    shifted = np.pad(wide, 2)  # only the border's pixels see the padding
    rows, columns = wide.shape
    at = {
        (i, j): shifted[2 + i : 2 + i + rows, 2 + j : 2 + j + columns]
        for i in range(-2, 3)
        for j in range(-2, 3)
    }
    maps = np.stack(
        [
            at[0, -1] - at[0, 1],
            at[-1, 0] - at[1, 0],
            at[0, -2] - 2 * wide + at[0, 2],
            at[-2, 0] - 2 * wide + at[2, 0],
        ]
    )
    total, count = np.zeros((27, 33)), np.zeros((27, 33))
    for i in range(1, 9 - 3):
        for j in range(1, 11 - 3):
            window = np.s_[2 * i : 2 * i + 6, 2 * j : 2 * j + 6]
            feature = torch.from_numpy(maps[:, *window].reshape(1, -1)).float()
            norm = max(1, feature.norm().item())
            code = lasso(feature / norm, pair.lr, 0.05)
            patch = (code @ pair.hr * norm).reshape(9, 9) + wide[window].mean()
            target = np.s_[3 * i : 3 * i + 9, 3 * j : 3 * j + 9]
            total[target] += patch.numpy()
            count[target] += 1
    expected = bicubic(lr_y, scale)
    expected[3:-3, 3:-3] = (total / np.maximum(count, 1))[3:-3, 3:-3]
    assert np.abs(method(lr_y, scale) - expected).max() < 1e-5


def test_small_pictures_are_bicubic(ours):
    lr_y = np.random.default_rng(0).random((4, 9))
    for part in (lr_y, lr_y.T, lr_y[:1, :1], lr_y[:2, :3]):
        assert np.array_equal(ours(part, 3), bicubic(part, 3))


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_flat_picture_stays_flat(ours, value):
    ours.back_projections = 2
    sr_y = ours(np.full((8, 9), value), 3)
    assert np.allclose(sr_y, value, rtol=0, atol=1e-6)


def test_back_projection_makes_it_shrink_to_the_input(photograph):
    method = SparseCoding(random_pair(3), device="cpu")
    sr_y = method(photograph, 3)
    errors = [
        np.abs(
            imresize(sparse_coding.back_project(sr_y, photograph, n), 1 / 3)
            - photograph
        ).mean()
        for n in (0, 5, 20)
    ]
    assert errors[1] < 0.3 * errors[0] and errors[2] < 0.5 * errors[1]
    method.back_projections = 5
    corrected = sparse_coding.back_project(sr_y, photograph, 5)
    assert np.allclose(method(photograph, 3), corrected, rtol=0, atol=1e-12)


# Names and files ------------------------------------------------------------


def test_round_trip(tmp_path):
    pair = random_pair(4)
    path = tmp_path / "p.safetensors"
    sparse_coding.write(pair, path, {"seed": 5})
    again = sparse_coding.load(str(path), 4)
    assert again.scale == 4
    assert torch.equal(pair.lr.half().float(), again.lr)
    assert torch.equal(pair.hr.half().float(), again.hr)
    assert again.penalty == pair.penalty
    card = json.loads(path.with_suffix(".json").read_text("utf-8"))
    inside = checkpoints.read_card(path)
    assert card == inside | {"sha256": card["sha256"]}
    assert (card["method"], card["scale"], card["seed"]) == ("sc", 4, 5)


def test_ours_are_here_and_are_no_networks():
    assert "sc" not in checkpoints.names()
    size = 0
    for scale in (2, 3, 4):
        pair = sparse_coding.load(None, scale)
        assert pair.scale == scale
        assert torch.allclose(pair.lr.norm(dim=1), torch.ones(len(pair.lr)), atol=1e-3)
        assert pair.hr.isfinite().all()
        path = checkpoints.folder() / f"sc_x{scale}.safetensors"
        card = checkpoints.read_card(path)
        assert card["training_images"] == "T91 (91)" and card["minutes"] < 5
        size += path.stat().st_size
    assert size < 1.5e6


def test_unfit_requests(tmp_path):
    path = tmp_path / "p.safetensors"
    sparse_coding.write(random_pair(4), path, {})
    network = checkpoints.folder() / "9-1-5_x3.safetensors"
    text = tmp_path / "t.safetensors"
    text.write_text("hello")
    odd = tmp_path / "odd.safetensors"
    card = {"method": "sc", "penalty": 0.1}
    checkpoints.write_tensors({"lr": torch.ones(3, 144)}, odd, card)
    uneven = tmp_path / "uneven.safetensors"
    lr, hr, _ = random_pair(3)
    sparse_coding.write(Dictionaries(lr, hr[:-1]), uneven, {})
    for model, scale, said in [
        ("official/yang", 2, "official/yang is for x3, not x2"),
        ("9-1-5", 3, "'9-1-5' is not known to method sc; there is official/yang"),
        (str(path), 3, "is for x4, not x3"),
        (str(network), 3, "no dictionaries of method sc"),
        (str(odd), 3, "no dictionaries of method sc"),
        (str(uneven), 3, "no dictionaries of method sc"),
        (str(text), 3, "not weights of this book"),
        (str(tmp_path / "none.safetensors"), 3, "no such file"),
        (None, None, "of method sc needs --scale: x2, x3, x4"),
        (None, 5, "of method sc is for x2, x3, x4, not x5"),
    ]:
        with pytest.raises(CheckpointError, match=said):
            methods.get("sc", model=model, scale=scale)
    with pytest.raises(ValueError, match="are for x4, not x2"):
        SparseCoding(random_pair(4), device="cpu")(np.zeros((9, 9)), 2)


def test_a_missing_dictionary_comes_with_its_command(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "folder", lambda: tmp_path)
    said = "sc_x3.safetensors is missing; `srcnn train --method sc --scale 3 "
    with pytest.raises(CheckpointError, match=said):
        methods.get("sc", scale=3)


def test_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SRCNN_OFFLINE", "1")
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path))
    monkeypatch.delenv("SRCNN_DATA", raising=False)
    picture = datasets.load("demo-test")["coffee"][100:160, 200:280]
    images.write(tmp_path / "a.png", picture)
    command = ["evaluate", "--method", "sc", "--images", str(tmp_path)]
    command += ["--device", "cpu"]
    assert cli.main([*command, "--scale", "3", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["method"], found["model"]) == ("sc", None)
    assert found["mean"]["psnr_db"] > 25
    for model, scale, said in [
        ("official/yang", 4, "official/yang is for x3, not x4"),
        ("official/yang", 3, "scsr-official is not here"),
        ("9-5-5", 3, "not known to method sc"),
    ]:
        asked = [*command, "--scale", str(scale), "--model", model]
        assert cli.main(asked) == 2
        stderr = capsys.readouterr().err
        assert said in stderr and stderr.count("\n") == 1


def test_damaged_dictionaries_of_yang(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "path", lambda name: tmp_path)
    (tmp_path / "CVPR08_x3_Dictionary.mat").write_bytes(b"hello")
    with pytest.raises(CheckpointError, match="not Yang's dictionaries"):
        sparse_coding.load("official/yang", 3)
