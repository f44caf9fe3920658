"""What a page needs in Google Colab: the missing packages, and a word on the GPU.

Colab's own torch and numpy fit its drivers and each other, so they are never
installed, upgraded or even imported here.
"""

import importlib.metadata
import re
import subprocess
import sys
import tempfile
from pathlib import Path

COLABS_OWN = ("torch", "numpy")
NO_GPU = (
    "No GPU: this page runs on the CPU. For a GPU choose Runtime → Change runtime "
    "type → T4 GPU, then run the page again from its first cell."
)


def prepare() -> None:
    """In Colab: install what the library lacks, and name the GPU.  Else: nothing.

    Raises
    ------
    RuntimeError : when torch or numpy is not there, or pip failed; one line.
    """
    if not here():
        return
    versions = {name: _version(name) for name in COLABS_OWN}
    for name, version in versions.items():
        if version is None:
            raise RuntimeError(
                f"{name} is not installed here; use Colab's standard runtime "
                "(Runtime → Disconnect and delete runtime, then connect again)"
            )
    wanted = missing()
    if wanted:
        _install(wanted, versions)
    for name, bound in _required():
        if name in COLABS_OWN and _older(versions[name], bound):
            print(
                f"{name} {versions[name]} is older than {bound}, the oldest this book "
                "was tested with; it is left as it is."
            )
    print(gpu() or NO_GPU)


def here() -> bool:
    """Whether this is a Colab runtime."""
    return "google.colab" in sys.modules


def missing() -> list[str]:
    """The library's requirements not installed, or too old, as pip reads them."""
    return [
        f"{name}>={bound}"
        for name, bound in _required()
        if name not in COLABS_OWN
        and ((version := _version(name)) is None or _older(version, bound))
    ]


def _required() -> list[tuple[str, str]]:
    """The library's requirements: name and oldest version."""
    import tomllib

    project = Path(__file__).parents[1] / "pyproject.toml"
    required = tomllib.loads(project.read_text())["project"]["dependencies"]
    return [tuple(requirement.split(">=")) for requirement in required]


def _older(version: str, bound: str) -> bool:
    def numbers(text):
        return [int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3]]

    return numbers(version) < numbers(bound)


def gpu() -> str | None:
    """A line that names the GPU, or None where there is none."""
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    names = asked.stdout.strip().splitlines()
    return f"GPU: {', '.join(names)}" if asked.returncode == 0 and names else None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _install(wanted: list[str], versions: dict[str, str]) -> None:
    """Install, with torch and numpy held at the versions that are here."""
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder, "held.txt")
        held.write_text("".join(f"{n}=={v}\n" for n, v in versions.items()))
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        done = subprocess.run([*pip, "--constraint", str(held), *wanted])
    if done.returncode:
        raise RuntimeError(f"pip could not install {', '.join(wanted)}")
    importlib.invalidate_caches()
