"""The command line: ``srcnn …``, or ``python -m srcnn_lib …``.

Exit status 0 on success, 1 when `results verify` or `data status --verify` finds a
difference, 130 after Ctrl-C, 2 for wrong usage or input, with one line that says why.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import logging
import os
import sys
import warnings
from pathlib import Path

from . import checkpoints, datasets, images, methods, protocol, results, training
from .files import write_atomically
from .methods import trained
from .options import RECIPE, command, parse


@command("a.jpg big.png --scale 3", "input output --scale! --method --model --device "
         "--quality --suffix --format --skip-existing")  # fmt: skip
def _upscale(args) -> int:
    """Enlarge a picture, or all pictures of a folder and of the folders in it."""
    source, target, failed = Path(args.input), Path(args.output), 0
    method, work = functools.cache(lambda: _method(args)), {source: target}
    if source.is_dir():
        work = _names_in_folder(args, source, target)
        method()  # a wrong model is one error, before anything is written
        target.mkdir(parents=True, exist_ok=True)
    elif args.suffix or args.format:
        raise ValueError("--suffix and --format are for folders; OUT names the file")
    is_done = {p: args.skip_existing and new.exists() for p, new in work.items()}
    for path, new in work.items():
        try:
            if not is_done[path]:
                _enlarge(args, path, new, method)
        except (ValueError, OSError) as e:  # the others go on
            failed += 1
            _complain(args, e)
    if done := sum(is_done.values()):
        print(f"{done} of {len(work)} were there already")
    if source.is_dir():
        rest = {p for p in source.rglob("*") if p.is_file()} - {*work, *work.values()}
        names = sorted(str(p.relative_to(source)) for p in rest)
        enlarged = len(work) - failed - done
        print(f"{enlarged} of {len(work)} pictures enlarged into {target}")
        print("left out:", ", ".join(names[:5]) or "nothing")
    return 2 if failed else 0


def _names_in_folder(args, source: Path, target: Path) -> dict[Path, Path]:
    """Each picture, and where it goes: its folder is kept."""
    is_file = target.is_file() or target.suffix.lower() in images.SUFFIXES
    if is_file or target.resolve() == source.resolve():
        raise ValueError(f"{source} is a folder; give another one, not {target}")
    work, taken = {}, {}
    for path in datasets.from_folder(source, subfolders=True).paths.values():
        if target.resolve() in path.resolve().parents:
            continue  # an earlier result
        ending = f".{args.format}" if args.format else path.suffix
        new = path.relative_to(source).with_name(path.stem + args.suffix + ending)
        if (other := taken.setdefault(str(new).lower(), path)) != path:
            raise ValueError(f"{path} and {other} would both become {target / new}")
        work[path] = target / new
    return work


def _enlarge(args, source: Path, target: Path, method) -> None:
    """One picture; all that can be wrong with it is found before the method is made."""
    image, facts = images.read_with_facts(source)
    if Path(args.input).is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
    images.check_target(target, image, args.scale)
    if target.resolve() == source.resolve():
        raise ValueError(f"{target}: is the picture itself; give another name")
    notes = [*facts.notes, *["replaces an older file"] * target.exists()]
    result = methods.upscale(method(), image, args.scale)
    notes += images.write(target, result, facts, args.quality)
    size = f"{result.shape[1]}×{result.shape[0]} pixels, x{args.scale}"
    print("; ".join([f"{target}: {size}", *notes]), flush=True)


@command("--method bicubic --scale 3 --dataset Set5",
         "--images!+ --scale! --method --model --luma --json --device")  # fmt: skip
def _evaluate(args) -> int:
    """Measure a method's PSNR and SSIM by the paper's protocol."""
    pictures, call, to_stdout = _pictures(args), _method(args), args.json == "-"

    def show(name, psnr_db, ssim, more) -> None:
        if not to_stdout:
            print(f"{name:<16}{psnr_db:7.2f} dB  SSIM {ssim:.4f}  {more}", flush=True)

    scores, faults = [], []
    for name in pictures:
        try:
            given = pictures[name], args.scale, name
            score = protocol.score(call, *given, kind=args.luma)
            show(*score[:3], f"{score.seconds:6.2f} s")
            scores.append(score)
        except ValueError as e:  # the others go on
            faults.append(e if isinstance(e, images.ImageError) else f"{name}: {e}")
    if not scores:
        raise ValueError(faults[0])
    for fault in faults:
        _complain(args, f"{fault}; left out of the mean")
    show("mean", *protocol.mean(scores), f"({pictures.name} x{args.scale})")
    model = args.model or ("9-1-5" if args.method == "srcnn" else None)
    content = {"method": args.method, "model": model, "scale": args.scale}
    content |= {"luma": args.luma, "images": [score._asdict() for score in scores]}
    content |= {"mean": dict(zip(("psnr_db", "ssim"), protocol.mean(scores)))}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    # JSON has no infinity, and a name may be no UTF-8.
    text = text.replace(": Infinity", ": null").encode(errors="backslashreplace")
    if to_stdout:
        print(text.decode())
    elif args.json:
        write_atomically(Path(args.json), text + b"\n")
    return 2 if faults else 0


@command("--scale 3 --arch 9-1-5 --images my_pictures --out runs/first",
         "--images+ --method --preset --out --resume --overwrite --threads --device "
         + " ".join(RECIPE))  # fmt: skip
def _train(args) -> int:
    """Train a network, or what another method needs."""
    pictures = _pictures(args)
    if args.method != "srcnn":
        fit = "command run rank method scale images seed out device".split()
        if unfit := [k for k, v in vars(args).items() if v and k not in fit]:
            raise ValueError(f"--{unfit[0]} is for networks, not {args.method}")
        choices = {"out": Path(args.out), "seed": args.seed or 0}
        print(trained.learn(args.method, [pictures], args.scale or 3, **choices))
        return 0
    names = training.Config.__dataclass_fields__
    given = {k: v for k, v in vars(args).items() if k in names and v is not None}
    config = dataclasses.replace(training.PRESETS[args.preset or "quick"], **given)
    if args.learning_rate is None and args.preset != "book":
        rate = training.usual_learning_rate(config.optimiser, config.arch)
        config = dataclasses.replace(config, learning_rate=rate)
    choices = {k: vars(args)[k] for k in "device out resume overwrite threads".split()}
    card = training.train(config, pictures, name=pictures.name, **choices).card
    if args.rank:
        return 0
    for name, reason in list(card["skipped"].items())[:5]:
        _complain(args, f"{name}: {reason}; left out, one of {len(card['skipped'])}")
    path = Path(args.out) / f"{config.arch}_x{config.scale}.safetensors"
    psnr_db = card["validation_psnr_db"]
    more_db = psnr_db - card["validation_bicubic_db"]
    print(f"{path}: {psnr_db:.2f} dB on {card['validation_images']}, {more_db:+.2f} dB "
          f"over bicubic, after {card['minutes']:.1f} minutes")  # fmt: skip
    return 0


@command("verify --dataset Set5",
         "what --images+ --method --model --scale+ --luma --device")  # fmt: skip
def _results(args) -> int:
    """Recompute the recorded results of this book, or record new ones."""
    if args.what == "record":
        sets, scales = args.images or ("Set5", "Set14"), args.scale or protocol.SCALES
        choices = {"model": args.model, "luma": args.luma, "device": args.device}
        for dataset, scale in itertools.product(sets, scales):
            row = results.measure(args.method, dataset, scale, **choices)
            path, psnr_db = results.record(row), row["mean"]["psnr_db"]
            print(f"{path.name}: {psnr_db:.2f} dB, {row['command']}")
        return 0
    count = {"equal": 0, "differs": 0, "not here": 0}
    for check in results.verify(args.device, args.images or ()):
        count[check.verdict] += 1
        print(f"{check.verdict:<9} {check.row}: {check.detail}", flush=True)
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items()))
    return 1 if count["differs"] else 0


@command("status", "action names --verify")
def _data(args) -> int:
    """Fetch the data sets, or say what is here, and its licences."""
    if args.action == "fetch":
        datasets.fetch(args.names or None)
        return 0
    rows = {row.name: row for row in datasets.status(verify=args.verify)}
    if unknown := set(args.names) - set(rows):
        raise ValueError(f"no data set {min(unknown)}; there are {', '.join(rows)}")
    rows = [rows[name] for name in args.names or rows]
    for row in rows:
        here = f"{row.present}/{row.total} files"
        print(f"{row.name:<15}{here:<14}{row.megabytes:5.1f} MB  {row.where}")
        print(f"{'':<15}for {row.purpose}\n{'':<15}licence: {row.licence}")
    return 1 if args.verify and any(0 < r.present < r.total for r in rows) else 0


@command("--model 9-1-5 --scale 3 --onnx srcnn.onnx", "--model! --scale --onnx!")
def _export(args) -> int:
    """Write a network as ONNX, for other programs."""
    print(checkpoints.export_onnx(checkpoints.load(args.model, args.scale), args.onnx))
    return 0


def _method(args) -> methods.Method:
    about = {"model": args.model, "scale": args.scale, "device": args.device}
    return methods.get(args.method, **about)


def _pictures(args) -> datasets.Dataset:
    """The data sets and folders that ``--images`` names; T91 where it is not given."""
    fallback = None if args.images else "demo-train"
    found = datasets.gather(args.images or ["T91"], fallback)
    if found.stands_for and not args.rank:
        _complain(args, f"{found.stands_for} is not here; taking {found.name}")
    return found


def _complain(args, text) -> None:
    """One line on standard error."""
    if isinstance(text, OSError) and text.filename:
        text = f"{text.filename}: {text.strerror}"
    who = f"srcnn {args.command}" + (f" (process {args.rank})" if args.rank else "")
    print(f"{who}: {' '.join(str(text).split())}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):  # a console that can't show "×" gets "?"
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")
    args = parse(argv)
    args.rank = int(os.environ.get("RANK", "0"))  # of the processes of torchrun
    logging.lastResort = None  # what is wrong with a picture, `images` says
    faults = (ValueError, OSError, datasets.DataError, training.TrainingError)
    faults += (RuntimeError,) * ("RANK" in os.environ)  # of torchrun: a busy port, …
    try:
        with warnings.catch_warnings():  # a driver too old for the GPU is one line too
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", module=r"PIL\.|torch\.autograd")
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
