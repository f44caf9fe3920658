"""The command line: ``srcnn …``, or ``python -m srcnn_lib …``.

Exit status 0 on success, 1 when `results verify` or `data status --verify` finds a
difference, 2 for wrong usage or input, 130 after Ctrl-C.  A user's mistake gets one
line on standard error and never a traceback.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import logging
import os
import sys
import typing
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

from . import checkpoints, datasets, images, methods, protocol, results, training
from .methods import trained

#: Warnings that say nothing to a user; any other is shown, in one line.
HARMLESS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
LINE = "{:<16}{:7.2f} dB  SSIM {:.4f}  {}"


def _method(args) -> methods.Method:
    choices = {"model": args.model, "scale": args.scale, "device": args.device}
    return methods.get(args.method, **choices)


def _upscale(args) -> int:
    source, target = Path(args.input), Path(args.output)
    method, failed = functools.cache(lambda: _method(args)), 0
    if not source.is_dir():
        _enlarge(source, target, args.scale, method)
        return 0
    is_picture = target.suffix.lower() in images.SUFFIXES and not target.exists()
    if target.is_file() or is_picture:
        raise ValueError(f"{source} is a folder; give one in place of {target} too")
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target} is the folder of the pictures; give another")
    paths = datasets.from_folder(source).paths.values()
    method()  # a wrong model is one error, before anything is written
    target.mkdir(parents=True, exist_ok=True)
    for path in paths:
        try:
            _enlarge(path, target / path.name, args.scale, method)
        except (ValueError, OSError) as e:  # the others go on
            failed += 1
            _complain(args, e)
    print(f"{len(paths) - failed} of {len(paths)} pictures enlarged into {target}")
    others = {path.name for path in source.iterdir() if path.is_file()}
    if others := sorted(others - {path.name for path in paths}):
        print(f"left out, as no pictures: {', '.join(others[:5])}")
    return 2 if failed else 0


def _enlarge(source: Path, target: Path, scale: int, method: Callable) -> None:
    """One picture; all that can be wrong with it is found before the method is made."""
    image = images.read(source)
    images.check_target(target, image, scale)
    replaces = "; replaces an older file" if target.exists() else ""
    if replaces and target.samefile(source):
        raise ValueError(f"{target}: is the picture itself; give another name")
    profile = images.colour_profile(source, image)
    result = methods.upscale(method(), image, scale)
    images.write(target, result, profile)
    size = "{1}×{0} pixels".format(*result.shape)
    print(f"{target}: {size}, x{scale}{replaces}", flush=True)


def _evaluate(args) -> int:
    is_known = args.images in datasets.names()
    pictures = (datasets.load if is_known else datasets.from_folder)(args.images)
    to_stdout = args.json == "-"

    def show(score) -> None:
        if not to_stdout:
            name, *measured, seconds = score
            print(LINE.format(name, *measured, f"{seconds:6.2f} s"), flush=True)

    choices = {"kind": args.luma, "on_score": show}
    scores = protocol.evaluate(_method(args), pictures, args.scale, **choices)
    if not to_stdout:
        about = f"({args.images} x{args.scale}, {len(scores)} pictures)"
        print(LINE.format("mean", *protocol.mean(scores), about))
    content = {key: getattr(args, key) for key in ("method", "model", "scale", "luma")}
    content["model"] = args.model or ("9-1-5" if args.method == "srcnn" else None)
    content["images"] = [score._asdict() for score in scores]
    content["mean"] = dict(zip(("psnr_db", "ssim"), protocol.mean(scores)))
    for row in (*content["images"], content["mean"]):  # JSON has no infinity
        row["psnr_db"] = row["psnr_db"] if row["psnr_db"] < float("inf") else None
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if to_stdout:
        print(text, end="")
    elif args.json:
        checkpoints.write_atomically(Path(args.json), text.encode())
    return 0


def _train(args) -> int:
    if args.method != "srcnn":
        return _train_method(args)
    fields = [field.name for field in dataclasses.fields(training.Config)]
    given = {k: v for k, v in vars(args).items() if k in fields and v is not None}
    config = dataclasses.replace(training.PRESETS[args.preset or "quick"], **given)
    if args.learning_rate is None:
        with contextlib.suppress(KeyError, ValueError):  # `train` says what is odd
            rate = training.usual_learning_rate(config.optimiser, config.arch)
            config = dataclasses.replace(config, learning_rate=rate)
    choices = {k: vars(args)[k] for k in ("device", "out", "resume", "overwrite")}
    choices |= {"threads": args.threads, "name": ", ".join(args.images or ["T91"])}
    card = training.train(config, _training_images(args), **choices).card
    if not args.rank:
        path = Path(args.out) / f"{config.arch}_x{config.scale}.safetensors"
        psnr_db, base_db = card["validation_psnr_db"], card["validation_bicubic_db"]
        print(
            f"{path}: {psnr_db:.2f} dB on {card['validation_images']}, "
            f"{psnr_db - base_db:+.2f} dB over bicubic, after {card['minutes']:.1f} minutes"
        )
    return 0


def _train_method(args) -> int:
    """What another method than SRCNN needs."""
    fit = "command run rank method scale images seed out device".split()
    for option in (k for k, v in vars(args).items() if v and k not in fit):
        option = option.replace("_", "-")
        raise ValueError(f"--{option} is for networks, not {args.method}")
    if args.device == "cuda":
        raise ValueError(f"{args.method} trains on the CPU; leave --device out")
    choices = {"out": Path(args.out), "seed": args.seed or 0}
    path = trained.train(args.method, [_training_images(args)], args.scale, **choices)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _training_images(args) -> datasets.Dataset:
    pictures = datasets.gather(args.images or ["T91"], fallback="demo-train")
    if pictures.stands_for and not args.rank:
        _complain(args, f"{pictures.stands_for} is not here; taking {pictures.name}")
    return pictures


def _results(args) -> int:
    if args.what == "list":
        for r in results.rows():
            name = f"{r['model'] or r['method']:<26}{r['dataset']:<7} x{r['scale']}"
            print(LINE.format(f"{name} {r['luma']:<4}", *r["mean"].values(), ""))
        return 0
    if args.what == "record":
        sets, scales = args.images or ["Set5", "Set14"], args.scale or protocol.SCALES
        for dataset, scale in product(sets, scales):
            choices = {"model": args.model, "luma": args.luma, "device": args.device}
            row = results.measure(args.method, dataset, scale, **choices)
            (path,) = results.record([row])
            print(f"{path.name}: {row['mean']['psnr_db']:.2f} dB, {row['command']}")
        return 0
    count = {"equal": 0, "differs": 0, "not here": 0}
    for check in results.verify(args.device, args.images or ()):
        count[check.verdict] += 1
        print(f"{check.verdict:<9} {check.row}: {check.detail}", flush=True)
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items()))
    return 1 if count["differs"] else 0


def _data(args) -> int:
    if args.action == "fetch":
        datasets.fetch(args.names or None)
        return 0
    if unknown := set(args.names) - set(datasets.names()):
        there = ", ".join(datasets.names())
        raise ValueError(f"there is no data set {min(unknown)}; there are {there}")
    complete = True
    for row in datasets.status(verify=args.verify):
        if row.name in (args.names or datasets.names()):
            here = f"{row.present}/{row.total} files"
            print(f"{row.name:<15}{here:<14}{row.megabytes:5.1f} MB  {row.where}")
            print(f"{'':<15}for {row.purpose}\n{'':<15}licence: {row.licence}")
            complete &= row.present in (0, row.total)
    if args.verify and not complete:
        print("srcnn data: some files are missing or differ; srcnn data fetch")
    return 1 if args.verify and not complete else 0


def _export(args) -> int:
    model = checkpoints.load(args.model, args.scale)
    print(checkpoints.export_onnx(model, args.onnx))
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


OPTIONS = {
    "input": {"metavar": "IN", "help": "a picture, or a folder of pictures"},
    "output": {"metavar": "OUT", "help": "a .png, …; for a folder, another folder"},
    "what": {"choices": ("verify", "list", "record")},
    "action": {"choices": ("fetch", "status")},
    "names": {"metavar": "NAME", "nargs": "*", "help": "data sets (default: all)"},
    "--verify": {"action": "store_true", "help": "status: check every sha256"},
    "--scale": {"type": int, "choices": protocol.SCALES},
    "--method": {"choices": methods.NAMES, "default": "srcnn", "help": "default srcnn"},
    "--model": {"metavar": "NAME|FILE", "help": "9-1-5 (default), 9-5-5+ (with self-"
                "ensemble), official/9-5-5-imagenet, … or a .safetensors file"},
    "--device": {"choices": ("auto", "cpu", "cuda"), "default": "auto"},
    "--images": {"metavar": "NAME|DIR", "help": "a data set, or a folder of pictures"},
    "--luma": {"choices": ("y", "gray"), "default": "y", "help": "gray: as on BSD200"},
    "--json": {"metavar": "FILE", "help": "write the numbers; - prints them"},
    "--preset": {"choices": training.PRESETS, "help": "the recipe (default quick)"},
    "--out": {"metavar": "DIR", "default": "runs", "help": "default runs/"},
    "--resume": {"action": "store_true", "help": "go on with a stopped run"},
    "--overwrite": {"action": "store_true", "help": "replace a finished run"},
    "--threads": {"metavar": "N", "type": int, "help": "default: found by trial"},
    "--onnx": {"metavar": "FILE", "help": "what to write"},
}  # fmt: skip
#: Function, what it does, an example, options: ! is required, + takes several.
COMMANDS = (
    (_upscale, "enlarge a picture, or all pictures of a folder",
     "photo.jpg big.png --scale 3", "input output --scale! --method --model --device"),
    (_evaluate, "measure a method's PSNR and SSIM by the paper's protocol",
     "--method bicubic --scale 3 --dataset Set5",
     "--images! --scale! --method --model --luma --json --device"),
    (_train, "train a network, or what another method needs",
     "--scale 3 --arch 9-1-5 --preset quick --out runs/first", "--scale! --images+ "
     "--method --preset --out --resume --overwrite --threads --device"),
    (_results, "verify, list or record the results of this book", "verify --dataset Set5",
     "what --images+ --method --model --scale+ --luma --device"),
    (_data, "fetch the data sets, or say what is here, and its licences", "status",
     "action names --verify"),
    (_export, "write a network as ONNX, for other programs",
     "--model 9-1-5 --scale 3 --onnx srcnn.onnx", "--model! --scale --onnx!"),
)  # fmt: skip


def _add_config(p: _Parser) -> None:
    """An option for each field of `training.Config`, as it is annotated."""
    types = typing.get_type_hints(training.Config)
    for field in dataclasses.fields(training.Config):
        kind = (*typing.get_args(types[field.name]), types[field.name])[0]  # int | None
        about = {"help": field.metadata.get("help", "default: the preset's")}
        if kind is bool:
            about |= {"action": "store_true", "default": None}
        else:
            about |= {"type": kind, "choices": field.metadata.get("choices")}
        if field.name != "scale":
            p.add_argument("--" + field.name.replace("_", "-"), **about)


def _parser() -> _Parser:
    parser = _Parser(prog="srcnn", description="SRCNN, reproduced.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for run, about, example, options in COMMANDS:
        name = run.__name__[1:]
        epilog = f"Example: srcnn {name} {example}"
        p = commands.add_parser(name, help=about, description=about, epilog=epilog)
        p.set_defaults(run=run)
        for option in options.split():
            name, more = option.rstrip("!+"), {}
            if option != name:
                more = {"required": True} if option[-1] == "!" else {"nargs": "+"}
            also = ["--dataset"] if name == "--images" else []
            p.add_argument(name, *also, **OPTIONS[name], **more)
        if run is _train:
            _add_config(p)
    return parser


def _complain(args, text) -> None:
    """One line on standard error."""
    if isinstance(text, OSError) and text.filename:
        text = f"{text.filename}: {text.strerror}"
    process = f" (process {args.rank})" if args.rank else ""
    line = " ".join(str(text).split())
    print(f"srcnn {args.command}{process}: {line}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):  # a console that can't show "×" gets "?"
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")
    args = _parser().parse_args(argv)
    args.rank = int(os.environ.get("RANK", "0"))  # of the processes of torchrun
    for name in ("PIL", "tifffile"):  # what is wrong with a picture, `images` says
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Under torchrun each process says what is wrong with it, such as a busy port.
    faults = (ValueError, OSError, datasets.DataError, training.TrainingError)
    faults += (RuntimeError,) if "RANK" in os.environ else ()
    try:
        with warnings.catch_warnings():
            for category in HARMLESS:
                warnings.simplefilter("ignore", category)
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.showwarning = lambda text, *_, **__: _complain(args, text)
            status = args.run(args)
            sys.stdout.flush()
        return status
    except BrokenPipeError:  # … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        more = "; the same command with --resume goes on"
        _complain(args, "stopped" + (more if args.command == "train" else ""))
        return 130
    except faults as e:
        _complain(args, e)
        return 2
