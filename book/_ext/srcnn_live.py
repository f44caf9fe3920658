"""Packs what book/_static/live needs into scripts, which a page on a disk
may load where it may not fetch: the networks' weights and a few pictures."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from srcnn_lib import checkpoints, datasets

MODELS = ("9-1-5", "9-5-5")
#: Title → set, picture and window (top, left, size) in pixels.
PICTURES = {
    "butterfly": ("demo-test", "monarch", (90, 270, 300)),
    "cat": ("demo-test", "chelsea", (0, 75, 300)),
    "astronaut": ("demo-train", "astronaut", (0, 80, 300)),
    "cameraman": ("demo-test", "camera", (40, 120, 300)),
}
SOURCE = Path(__file__).resolve().parents[1] / "_static" / "live"


def add_scripts(app, pagename, templatename, context, doctree) -> None:
    """Give the scripts to a page that has a place for the application."""
    if 'class="srcnn-live"' in context.get("body", ""):
        app.add_css_file("live/live.css")
        for name in ("engine.js", "live.js"):
            app.add_js_file(f"live/{name}", loading_method="defer")


def write(folder: Path) -> None:
    """Write `folder`/packed/*.js: catalogue, weights, pictures."""
    packed = folder / "packed"
    packed.mkdir(parents=True, exist_ok=True)
    catalogue = {
        "models": MODELS,
        "pictures": list(PICTURES),
        "wasm": _text((SOURCE / "conv.wasm").read_bytes()),
    }
    _write(packed, "catalogue", catalogue)
    for name in MODELS:
        for scale in checkpoints.names()[name]:
            model = checkpoints.load(name, scale)
            _write(packed, f"{name}_x{scale}", _layers(model))
    for name, (dataset, picture, window) in PICTURES.items():
        top, left, size = window
        image = datasets.load(dataset)[picture]
        image = image[top : top + size, left : left + size]
        png = io.BytesIO()
        Image.fromarray(image).save(png, "png", optimize=True)
        _write(packed, name, _text(png.getvalue()))


def _layers(model) -> list[dict]:
    return [
        {
            "f": conv.kernel_size[0],
            "c": conv.in_channels,
            "o": conv.out_channels,
            "weights": _floats(conv.weight),
            "biases": _floats(conv.bias),
        }
        for conv in model.convs
    ]


def _floats(tensor) -> str:
    return _text(tensor.detach().numpy().astype(np.dtype("<f4")).tobytes())


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _write(packed: Path, name: str, content) -> None:
    script = f'srcnnLive.add("packed/{name}", {json.dumps(content)});\n'
    (packed / f"{name}.js").write_text(script, encoding="utf-8")
