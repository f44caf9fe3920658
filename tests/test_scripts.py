"""The page's scripts in Node: state, headers, and the engine with and without SIMD."""

import shutil
import subprocess

import pytest

from tools.notebooks import ROOT


def test_in_node():
    if not (node := shutil.which("node")):
        pytest.skip("needs Node.js, 20 or later")
    files = sorted((ROOT / "tests" / "live").glob("*.test.js"))
    command = [node, "--test", *map(str, files)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-1000:]
    assert len(files) == 2
