"""The command line: ``srcnn …``, or ``python -m srcnn_lib …``.

Exit status 0 on success, 1 when `results verify` or `data status --verify`
finds a difference, 2 for wrong usage or input, 130 after Ctrl-C.  A user's
mistake gets one line on standard error and never a traceback.
"""

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from . import methods
from .protocol import SCALES, check_scale, evaluate, mean


class _Parser(argparse.ArgumentParser):
    """Wrong usage in one line."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _scale(text: str) -> int:
    try:
        scale = int(text)
        check_scale(scale)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"scale must be 2, 3 or 4, not {text}"
        ) from None
    return scale


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="srcnn",
        description="SRCNN, reproduced: enlarge pictures, measure methods by "
        "the paper's protocol, train networks, verify recorded results.",
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND"
    )

    def command(run, name: str, text: str, example: str):
        sub = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"Example: {example}",
        )
        sub.set_defaults(run=run)
        return sub

    p = command(
        _upscale,
        "upscale",
        "enlarge one picture, or all pictures of a folder",
        "srcnn upscale photo.jpg big.png --scale 3",
    )
    p.add_argument(
        "input", metavar="IN", help="the picture to enlarge, or a folder of them"
    )
    p.add_argument(
        "output",
        metavar="OUT",
        help="where to write it: .png, …; of a folder another folder, where "
        "all keep their names",
    )
    _add_method(p)

    p = command(
        _evaluate,
        "evaluate",
        "measure a method's PSNR and SSIM by the paper's protocol",
        "srcnn evaluate --method bicubic --scale 3 --dataset Set5",
    )
    _add_method(p)
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("--dataset", metavar="NAME", help="such as Set5, Set14, BSD200")
    which.add_argument("--images", metavar="DIR", help="a folder of pictures")
    p.add_argument(
        "--luma",
        choices=("y", "gray"),
        default="y",
        help="y: as the paper on Set5 and Set14 (default); gray: on BSD200",
    )
    p.add_argument(
        "--json", metavar="FILE", help="write the numbers as JSON; - prints it"
    )

    p = command(
        _train,
        "train",
        "train a network, or what another method needs",
        "srcnn train --scale 3 --arch 9-1-5 --preset quick --out runs/first",
    )
    p.add_argument(
        "--method",
        choices=("srcnn", "sc", "ksvd", "aplus", "kk"),
        default="srcnn",
        help="srcnn (default), or: sc; ksvd, the dictionary of ksvd, ne-nnls, "
        "ne-lle, gr and anr; aplus; kk. These take --scale, --images, "
        "--seed and --out alone",
    )
    p.add_argument("--scale", type=_scale, required=True, help="2, 3 or 4")
    p.add_argument(
        "--arch",
        default="9-1-5",
        help="filter sizes f1-f2-f3, optionally _n1-n2 (default 9-1-5)",
    )
    p.add_argument(
        "--images",
        nargs="+",
        default=["T91"],
        metavar="DIR",
        help="folders of pictures, of any size, subfolders included, "
        "or names of data sets (default T91)",
    )
    p.add_argument(
        "--preset",
        choices=("quick", "full", "paper"),
        default="quick",
        help="quick: seconds (default); full: a long run, about half an "
        "hour; paper: the authors' own recipe, days on a CPU",
    )
    p.add_argument("--steps", type=int, help="batches, instead of the preset's")
    p.add_argument("--batch", type=int, help="sub-images in a batch")
    p.add_argument("--size", type=int, help="width of a sub-image in pixels")
    p.add_argument("--optimiser", choices=("muon", "adam", "sgd"))
    p.add_argument(
        "--learning-rate", type=float, help="default: as fits the optimiser"
    )
    p.add_argument("--sampling", choices=("random", "importance", "grid"))
    p.add_argument("--zoom", type=float, help="also on copies shrunk down to this")
    p.add_argument(
        "--vary",
        type=int,
        help="also on so many sharpened copies and so many warped ones",
    )
    p.add_argument(
        "--balance",
        type=float,
        help="0: all pixels count alike (default); 1: all pictures do",
    )
    p.add_argument(
        "--init",
        metavar="NAME",
        help="identity, default, paper, or weights to start from, such as "
        "9-5-5_x3 or a .safetensors file",
    )
    p.add_argument("--loss", choices=("mse", "l1", "charbonnier"))
    p.add_argument(
        "--residual",
        action="store_true",
        help="learn what bicubic interpolation lacks",
    )
    p.add_argument("--seed", type=int, default=0, help="default 0")
    p.add_argument("--out", default="runs", metavar="DIR", help="default runs/")
    p.add_argument(
        "--resume", action="store_true", help="go on where a run was stopped or killed"
    )
    _add_device(p)

    p = command(
        None,
        "results",
        "verify, record or list the results of this book",
        "srcnn results verify",
    )
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION")
    a = actions.add_parser("verify", help="recompute what this machine can")
    a.set_defaults(run=_results_verify)
    _add_device(a)
    a = actions.add_parser("list", help="print the recorded averages")
    a.set_defaults(run=_results_list)
    a = actions.add_parser("record", help="measure and write data/results")
    a.set_defaults(run=_results_record)
    a.add_argument("--method", choices=methods.NAMES, default="srcnn")
    a.add_argument("--model", metavar="NAME", help="all models where not given")
    _add_device(a)

    p = command(
        None,
        "data",
        "fetch the data sets, say what is here, or print where it is",
        "srcnn data status",
    )
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION")
    a = actions.add_parser("fetch", help="download what is missing")
    a.set_defaults(run=_data_fetch)
    a.add_argument("names", nargs="*", metavar="NAME", help="all where not given")
    a = actions.add_parser("status", help="what is here, and its licences")
    a.set_defaults(run=_data_status)
    a.add_argument("names", nargs="*", metavar="NAME", help="all where not given")
    a.add_argument("--verify", action="store_true", help="check every sha256")
    a = actions.add_parser("path", help="print the folder of a data set")
    a.set_defaults(run=_data_path)
    a.add_argument("names", nargs="+", metavar="NAME")

    p = command(
        _export,
        "export",
        "write a network for other programs",
        "srcnn export --model 9-1-5 --scale 3 --onnx srcnn.onnx",
    )
    p.add_argument("--model", required=True, metavar="NAME|FILE")
    p.add_argument("--scale", type=_scale, help="2, 3 or 4; not for a file")
    p.add_argument("--onnx", metavar="FILE")
    p.add_argument("--json", metavar="FILE")
    return parser


def _add_method(p: argparse.ArgumentParser) -> None:
    p.add_argument("--scale", type=_scale, required=True, help="2, 3 or 4")
    p.add_argument(
        "--method",
        choices=methods.NAMES,
        default="srcnn",
        help="default srcnn",
    )
    p.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="for srcnn: 9-1-5 (default), official/9-5-5-imagenet, …, "
        "or a .safetensors file; 9-5-5+ is a self-ensemble; for sc: ours "
        "(default), official/yang, or a .safetensors file; for the other "
        "methods a .safetensors file of your own",
    )
    _add_device(p)


def _add_device(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto (default) takes a GPU where there is one",
    )


def _method(args) -> methods.Method:
    return methods.get(
        args.method, model=args.model, scale=args.scale, device=args.device
    )


def _upscale(args) -> int:
    if Path(args.input).is_dir():
        return _upscale_folder(args)
    _enlarge(args.input, args.output, args.scale, lambda: _method(args))
    return 0


def _enlarge(
    source: str | Path,
    target: str | Path,
    scale: int,
    method: Callable[[], methods.Method],
) -> None:
    """One picture; all that can be wrong is found before `method` is called."""
    from . import images

    image = images.read(source)
    images.check_target(target, image, scale)
    replaces = Path(target).exists()
    if replaces and os.path.samefile(source, target):
        raise ValueError(f"{target}: is the picture itself; give another name")
    profile = images.colour_profile(source, image)
    result = methods.upscale(method(), image, scale)
    images.write(target, result, profile)
    height, width = result.shape[:2]
    end = "; replaces an older file" if replaces else ""
    print(f"{target}: {width}×{height} pixels, x{scale}{end}", flush=True)


def _upscale_folder(args) -> int:
    """All pictures of a folder; one that fails is named, the others go on."""
    from . import datasets, images

    source, target = Path(args.input), Path(args.output)
    is_picture = target.suffix.lower() in images.SUFFIXES
    if target.is_file() or (is_picture and not target.exists()):
        raise ValueError(
            f"{source}: is a folder; give one picture, or a folder in place "
            f"of {target}"
        )
    if target.exists() and os.path.samefile(source, target):
        raise ValueError(
            f"{target}: is the folder of the pictures itself; give another"
        )
    paths = datasets.from_folder(source).paths
    method = _method(args)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ValueError(f"{target}: can't be made ({e.strerror})") from None
    failed = 0
    for path in paths.values():
        try:
            _enlarge(path, target / path.name, args.scale, lambda: method)
        except (ValueError, OSError) as e:
            failed += 1
            line = " ".join(str(e).split())
            print(f"srcnn upscale: {line}", file=sys.stderr, flush=True)
    print(f"{len(paths) - failed} of {len(paths)} pictures enlarged into {target}")
    others = sorted(
        path.name
        for path in source.iterdir()
        if path.is_file() and path not in paths.values() and path.name[0] != "."
    )
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        print(
            f"left out, as they don't end in {', '.join(images.SUFFIXES)}: "
            f"{', '.join(others[:5])}{more}"
        )
    return 2 if failed else 0


def _evaluate(args) -> int:
    from . import datasets

    if args.dataset:
        pictures, label = datasets.load(args.dataset), args.dataset
    else:
        pictures, label = datasets.from_folder(args.images), args.images
    method = _method(args)
    to_stdout = args.json == "-"
    model = args.model
    if args.method == "srcnn":
        model = model or "9-1-5"

    def show(score):
        if not to_stdout:
            print(
                f"{score.name:<16}{score.psnr_db:7.2f} dB  "
                f"SSIM {score.ssim:.4f}  {score.seconds:6.2f} s",
                flush=True,
            )

    scores = evaluate(
        method, pictures, args.scale, kind=args.luma, on_score=show
    )
    psnr_db, ssim = mean(scores)
    content = {
        "method": args.method,
        "model": model,
        "scale": args.scale,
        "luma": args.luma,
        "images": [_finite(score._asdict()) for score in scores],
        "mean": _finite({"psnr_db": psnr_db, "ssim": ssim}),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    if to_stdout:
        print(text)
        return 0
    print(
        f"{'mean':<16}{psnr_db:7.2f} dB  SSIM {ssim:.4f}  "
        f"({label} x{args.scale}, {len(scores)} pictures)"
    )
    if args.json:
        _write(args.json, text + "\n")
    return 0


def _finite(numbers: dict) -> dict:
    """JSON has no infinity, the PSNR of equal pictures: null in its place."""
    return {
        key: None if value == float("inf") else value
        for key, value in numbers.items()
    }


def _write(path: str, text: str) -> None:
    from .checkpoints import write_atomically

    write_atomically(Path(path), text.encode())


def _train_method(args) -> int:
    from . import datasets
    from .methods import trained

    usual = {"arch": "9-1-5", "preset": "quick", "residual": False,
             "resume": False}  # fmt: skip
    for name in ("arch", "preset", "steps", "batch", "size", "optimiser",
                 "learning_rate", "sampling", "zoom", "vary", "balance", "init",
                 "loss", "residual", "resume"):  # fmt: skip
        if getattr(args, name) != usual.get(name):
            option = name.replace("_", "-")
            raise ValueError(f"--{option} is for networks, not {args.method}")
    if args.device == "cuda":
        raise ValueError(f"{args.method} trains on the CPU; leave --device out")
    sets = []
    for name in args.images:
        if name in datasets.names():
            sets.append(_training_set(name))
        else:
            sets.append(datasets.from_folder(name))
    path = trained.train(
        args.method, sets, args.scale, out=Path(args.out), seed=args.seed
    )
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _train(args) -> int:
    if args.method != "srcnn":
        return _train_method(args)
    from . import parallel, training

    preset = training.PRESETS[args.preset]
    given = {
        key: getattr(args, key)
        for key in ("steps", "batch", "size", "optimiser", "learning_rate",
                    "sampling", "zoom", "vary", "balance", "init", "loss",
                    "residual")
        if getattr(args, key) is not None
    }  # fmt: skip
    optimiser = args.optimiser or preset.optimiser
    with contextlib.suppress(ValueError):  # an odd arch is named below
        usual = training.usual_learning_rate(optimiser, args.arch)
        given.setdefault("learning_rate", usual)
    config = dataclasses.replace(
        preset, arch=args.arch, scale=args.scale, seed=args.seed, **given
    )
    out = Path(args.out)
    stem = f"{config.arch}_x{config.scale}"
    try:
        config.check()
        with parallel.join() as world:
            with world.together():
                world.part(config.batch)
                pictures = _training_pictures(args.images)
            run = training.train(
                config,
                pictures,
                device=args.device,
                out=out,
                resume=args.resume,
                name=", ".join(args.images),
                world=world,
            )
    except KeyboardInterrupt:
        state = out / f"{stem}.state"
        where = f"; the state is in {state}" if state.exists() else ""
        print(
            f"\nsrcnn train: stopped{where}; the same command with --resume "
            "goes on",
            file=sys.stderr,
        )
        return 130
    if world.rank:
        return 0
    gain = run.card["validation_psnr_db"] - run.card["validation_bicubic_db"]
    print(
        f"{out / stem}.safetensors: {run.card['validation_psnr_db']:.2f} dB "
        f"on {run.card['validation_images']}, {gain:+.2f} dB over bicubic, "
        f"after {run.card['minutes']:.1f} minutes"
    )
    if run.card["skipped"]:
        print(
            f"srcnn train: {run.card['skipped']} of {len(pictures)} pictures "
            f"were left out; {out / stem}_skipped.txt says why",
            file=sys.stderr,
        )
    return 0


def _training_pictures(names: list[str]):
    """The pictures of data sets and folders, indexed."""
    from . import datasets, streaming

    indexes = []
    for name in names:
        if name not in datasets.names():
            indexes.append(streaming.index_folder(name))
            continue
        found = _training_set(name)
        indexes.append(streaming.index_files(list(found.paths.values())))
    return streaming.Pictures(indexes)


def _training_set(name: str):
    """A data set; where T91 can't be had, the embedded one, and says so."""
    from . import datasets

    found = datasets.load(
        name, fallback="demo-train" if name == "T91" else None
    )
    if found.is_demo and name != found.name:
        print(
            f"srcnn train: {name} is not here and can't be fetched; "
            "training on the embedded demo-train",
            file=sys.stderr,
        )
    return found


def _results_verify(args) -> int:
    from . import results

    count = {"equal": 0, "differs": 0, "not here": 0}
    for check in results.verify(args.device):
        count[check.verdict] += 1
        print(f"{check.verdict:<9} {check.row}: {check.detail}", flush=True)
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items()))
    return 1 if count["differs"] else 0


def _results_list(args) -> int:
    from . import results

    for row in results.rows():
        name = row["model"] or row["method"]
        print(
            f"{name:<26}{row['dataset']:<7} x{row['scale']} {row['luma']:<5}"
            f"{row['mean']['psnr_db']:6.2f} dB  SSIM {row['mean']['ssim']:.4f}"
        )
    return 0


def _results_record(args) -> int:
    from . import checkpoints, results

    models = {None: SCALES}
    if args.method == "sc":
        from .methods.sparse_coding import MODELS

        models = MODELS
        if args.model:
            if args.model not in models:
                raise ValueError(f"model {args.model!r} is not known")
            models = {args.model: models[args.model]}
    elif args.model and args.method != "srcnn":
        raise ValueError(f"{args.method} has no models; leave --model out")
    if args.method == "srcnn":
        models = checkpoints.names()
        if args.model:
            scales = models.get(args.model.removesuffix("+"))
            if scales is None:
                raise ValueError(f"model {args.model!r} is not known")
            models = {args.model: scales}
    plan = [("Set5", "y"), ("Set14", "y")]
    # The paper has these two alone on BSD200; a self-ensemble would be slow.
    if args.method in ("bicubic", "srcnn") and not (args.model or "").endswith("+"):
        plan.append(("BSD200", "gray"))
    if args.method == "bicubic":
        plan.append(("BSD200", "y"))  # what later papers print
    for model, scales in models.items():
        rows = []
        for scale in scales:
            for dataset, kind in plan:
                row = results.measure(
                    args.method,
                    dataset,
                    scale,
                    model=model,
                    luma=kind,
                    device=args.device,
                )
                rows.append(row)
                print(
                    f"{model or args.method} x{scale} {dataset} {kind}: "
                    f"{row['mean']['psnr_db']:.2f} dB",
                    flush=True,
                )
        for path in results.record(rows):
            print(f"wrote {path.name}")
    return 0


def _data_fetch(args) -> int:
    from . import datasets

    datasets.fetch(args.names or None)
    return 0


def _data_status(args) -> int:
    from . import datasets

    unknown = set(args.names) - set(datasets.names())
    if unknown:
        raise ValueError(
            f"there is no data set {', '.join(sorted(unknown))}; there are "
            f"{', '.join(datasets.names())}"
        )
    complete = True
    for row in datasets.status(verify=args.verify):
        if args.names and row.name not in args.names:
            continue
        here = f"{row.present}/{row.total} files"
        print(f"{row.name:<15}{here:<14}{row.megabytes:5.1f} MB  {row.where}")
        print(f"{'':<15}for {row.purpose}")
        print(f"{'':<15}licence: {row.licence}")
        complete &= row.present in (0, row.total)
    if args.verify and not complete:
        print("srcnn data: some files are missing or differ; srcnn data fetch")
        return 1
    return 0


def _data_path(args) -> int:
    from . import datasets

    for name in args.names:
        print(datasets.path(name))
    return 0


def _export(args) -> int:
    from . import checkpoints

    if not (args.onnx or args.json):
        raise ValueError("say where to: --onnx FILE or --json FILE")
    model = checkpoints.load(args.model, args.scale)
    if args.onnx:
        print(checkpoints.export_onnx(model, args.onnx))
    if args.json:
        print(checkpoints.export_json(model, args.json))
    return 0


@contextlib.contextmanager
def _libraries_are_silent():
    """Their warnings and log would surround the one line of an error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def main(
    argv: list[str] | None = None, ready: Callable[[], object] = lambda: None
) -> int:
    """Run a command; returns the exit status.

    `ready` is called when the slow imports are done.
    """
    # A console that can't show "×" gets "?" rather than an exception.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")
    args = _parser().parse_args(argv)
    from .datasets import DataError
    from .training import TrainingError

    try:
        ready()
        with _libraries_are_silent():
            status = args.run(args)
            sys.stdout.flush()
        return status
    except BrokenPipeError:  # … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("srcnn: stopped", file=sys.stderr)
        return 130
    except (ValueError, DataError, TrainingError, OSError) as e:
        line = " ".join(str(e).split())
        print(f"srcnn {args.command}: {line}", file=sys.stderr)
        return 2
