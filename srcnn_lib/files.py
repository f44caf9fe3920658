"""Write a file whole or not at all."""

import os
import shutil
from contextlib import suppress
from errno import EINVAL, ENOSYS, ENOTSUP
from pathlib import Path


def write_atomically(path: Path, blob: bytes, previous: Path | None = None) -> None:
    """Write to a temporary name, force it to disk, then rename it.

    It follows a link, keeps permissions, makes missing folders, moves the old file to
    `previous`, writes straight into a device or FIFO; OSError leaves the old file.
    """
    target = Path(os.path.realpath(path))
    # A name has at most 255 bytes, so the temporary file's is cut.
    temporary = target.with_name(f".{target.name[:50]}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() or target.is_socket():
            raise OSError(EINVAL, "is a folder or a socket; give a file name")
        if target.exists() and not target.is_file():
            target.write_bytes(blob)
            return
        with open(temporary, "wb") as file:
            file.write(blob)
            file.flush()
            try:
                os.fsync(file.fileno())
            except OSError as e:  # some mounted drives offer no such thing
                if e.errno not in (EINVAL, ENOTSUP, ENOSYS):
                    raise
        if target.exists():
            shutil.copymode(target, temporary)
            if previous is not None:
                os.replace(target, previous)
        os.replace(temporary, target)
    except OSError as e:
        no_folder = isinstance(e, FileExistsError | NotADirectoryError)
        what = "its parent is not a folder" if no_folder else e.strerror
        raise OSError(f"{path}: can't be written ({what})") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
