"""Where a process begins: before PyTorch is there, which takes seconds."""

import os
import signal
import sys


def main() -> int:
    """Run the command line; Ctrl-C is answered in one line from the start."""
    if os.environ.get("RANK", "0") != "0":  # torchrun: process 0 speaks
        sys.stdout = sys.stderr = open(os.devnull, "w")
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        # An exception amid an import would show in many ways.
        signal.signal(signal.SIGINT, _stop)
    from . import cli

    return cli.main(ready=lambda: signal.signal(signal.SIGINT, usual))


def _stop(*_) -> None:
    line = "srcnn: stopped"
    if sys.argv[1:2] == ["train"]:
        line = (
            "srcnn train: stopped; the same command with --resume goes on"
        )
    print(line, file=sys.stderr, flush=True)
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
