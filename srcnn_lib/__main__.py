"""Where ``srcnn`` begins: Ctrl-C is one line even while PyTorch is imported."""

import os
import signal
import sys


def main() -> int:
    """Run the command line; returns the exit status."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not where Ctrl-C is ignored
        signal.signal(signal.SIGINT, _stop)  # amid an import, no exception would do
    from . import cli

    signal.signal(signal.SIGINT, before)
    return cli.main()


def _stop(*_) -> None:
    print("srcnn: stopped before it began", file=sys.stderr, flush=True)
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
