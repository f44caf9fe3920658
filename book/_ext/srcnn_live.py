"""Packs what book/_static/live needs, weights and a few pictures, into scripts, which
a page on a disk may load where it may not fetch files."""

import base64
import io
import json
from pathlib import Path

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
SCRIPTS = ("engine", "pool", "state", "files", "inspect", "view", "live")  # in order
WASM = Path(__file__).resolve().parents[1] / "_static" / "live" / "conv.wasm"


def add_scripts(app, pagename, templatename, context, doctree) -> None:
    """On ``html-page-context``: scripts for a page with a place for the application."""
    if 'class="srcnn-live"' in context.get("body", ""):
        app.add_css_file("live/live.css")
        for name in SCRIPTS:
            app.add_js_file(f"live/{name}.js", loading_method="defer")


def write(folder: Path) -> None:
    """Write `folder`/packed/*.js: catalogue, weights, pictures."""
    catalogue = {"models": MODELS, "pictures": list(PICTURES)}
    packed = {"catalogue": catalogue | {"wasm": _text(WASM.read_bytes())}}
    for name in MODELS:
        for scale in checkpoints.names()[name]:
            convs = checkpoints.load(name, scale).convs
            packed[f"{name}_x{scale}"] = [_layer(conv) for conv in convs]
    for name, (dataset, picture, (top, left, size)) in PICTURES.items():
        image = datasets.load(dataset)[picture][top : top + size, left : left + size]
        Image.fromarray(image).save(png := io.BytesIO(), "png", optimize=True)
        packed[name] = _text(png.getvalue())
    (folder / "packed").mkdir(parents=True, exist_ok=True)
    for name, content in packed.items():
        script = f'srcnnFiles.add("packed/{name}", {json.dumps(content)});\n'
        (folder / "packed" / f"{name}.js").write_text(script, encoding="utf-8")


def _layer(conv) -> dict:
    weight, bias = (t.detach().numpy().astype("<f4") for t in (conv.weight, conv.bias))
    sizes = {"f": conv.kernel_size[0], "c": conv.in_channels, "o": conv.out_channels}
    return sizes | {"weights": _text(weight.tobytes()), "biases": _text(bias.tobytes())}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
