"""The command line's commands, arguments and options.

Each field of `recipes.Config` is an option of ``srcnn train``, with the same type,
choices and help: `learning_rate` is ``--learning-rate``.
"""

import argparse
from collections.abc import Callable
from dataclasses import fields

from . import methods, protocol
from .images import SUFFIXES
from .recipes import PRESETS, Config


def _of_recipe(field) -> dict:
    """A field as `argparse` wants it; an option that is not given is None."""
    if type(field.default) is bool:
        return {"help": field.metadata["help"], "action": "store_true", "default": None}
    return {**field.metadata, "type": type(field.default)}


RECIPE = {"--" + f.name.replace("_", "-"): _of_recipe(f) for f in fields(Config)}
#: Every argument and option, as `argparse` wants it.
OPTIONS = RECIPE | {
    "input": {"metavar": "IN", "help": "a picture, or a folder of pictures"},
    "output": {"metavar": "OUT", "help": "such as big.png; for a folder, a folder"},
    "what": {"choices": ("verify", "record")},
    "action": {"choices": ("fetch", "status")},
    "names": {"metavar": "NAME", "nargs": "*", "help": "data sets (default: all)"},
    "--verify": {"action": "store_true", "help": "status: check every sha256"},
    "--scale": {"type": int, "choices": protocol.SCALES, "help": "magnification"},
    "--method": {"choices": methods.NAMES, "default": "srcnn", "help": "default srcnn"},
    "--model": {"metavar": "NAME|FILE", "help": "9-1-5 (default), 9-5-5+ (with self-"
                "ensemble), official/9-5-5-imagenet, … or a .safetensors or .pth file"},
    "--device": {"choices": ("auto", "cpu", "cuda", "mps"), "default": "auto"},
    "--quality": {"type": int, "choices": range(1, 101), "metavar": "1…100",
                  "default": 95, "help": "of JPEG, WebP and AVIF (default 95)"},
    "--suffix": {"default": "", "help": "a folder's: _x3 makes a.png a_x3.png"},
    "--format": {"choices": [s[1:] for s in SUFFIXES], "help": "a folder's"},
    "--skip-existing": {"action": "store_true", "help": "leave what is there already"},
    "--images": {"metavar": "NAME|DIR", "help": "data sets, or folders of pictures"},
    "--luma": {"choices": ("y", "gray"), "default": "y", "help": "gray: as on BSD200"},
    "--json": {"metavar": "FILE", "help": "write the numbers; - prints them"},
    "--preset": {"choices": PRESETS, "help": "the recipe (default quick)"},
    "--out": {"metavar": "DIR", "default": "runs", "help": "default runs/"},
    "--resume": {"action": "store_true", "help": "go on with a stopped run"},
    "--overwrite": {"action": "store_true", "help": "replace what is in --out"},
    "--threads": {"metavar": "N", "type": int, "help": "default: found by trial"},
    "--onnx": {"metavar": "FILE", "help": "what to write"},
}  # fmt: skip
_commands = []


def command(example: str, options: str) -> Callable:
    """Make ``_name(args)`` the command `name`, which its docstring describes; `options`
    are keys of `OPTIONS`: ! follows a required one, + one of several values."""
    return lambda run: _commands.append((run, example, options)) or run


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Arguments and options by name, `command`, and `run`, the command's function."""
    parser = _Parser(prog="srcnn", description="SRCNN, reproduced.")
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for run, example, options in _commands:
        name, about = run.__name__[1:], run.__doc__
        epilog = f"Example: srcnn {name} {example}"
        p = parsers.add_parser(name, help=about, description=about, epilog=epilog)
        p.set_defaults(run=run)
        for option in options.split():
            flag = option.rstrip("!+")
            more = {"required": True} if "!" in option else {}
            more |= {"nargs": "+", "action": "extend"} if "+" in option else {}
            flags = [flag, "--dataset"] if flag == "--images" else [flag]
            p.add_argument(*flags, **OPTIONS[flag], **more)
    return parser.parse_args(argv)
