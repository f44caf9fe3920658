/* "Look inside": how one pixel of a whole result comes about. */

"use strict";

class SrcnnInspect {
  constructor(box, engine, dispatch) {
    Object.assign(this, { box, engine, dispatch });
    this.find = (selector) => box.querySelector(selector);
  }

  render({ result, spot, off, unit }) {
    if (this.layers !== result.layers) this.build(result.layers);
    if (this.result !== result || this.spot !== spot) {
      [this.result, this.spot] = [result, spot];
      this.trace = srcnnTrace(this.engine, result, spot);
      this.explain(result, this.trace);
    }
    this.responses(this.trace, off);
    this.arithmetic(this.trace, unit);
  }

  /* What is the same for each pixel of these layers, the filters above all. */
  build(layers) {
    this.layers = layers;
    const numbers = layers.map((_, k) => `<option value="${k}">${k + 1}</option>`);
    this.box.innerHTML = `
      <p class="live-where"></p>
      <div class="live-columns">
        <figure><canvas class="live-patch" role="img"></canvas>
          <figcaption></figcaption></figure>
        <figure class="live-sum" tabindex="0"><table></table>
          <figcaption></figcaption></figure>
      </div>
      <p class="live-title">Layer 1: ${layers[0].o} filters and their responses</p>
      <p>Press a filter to switch it off and on again.
        <button type="button" name="all">All on</button></p>
      <div class="live-filters"></div>
      <p class="live-title">Layer 2: ${layers[1].o} mapped values</p>
      <div class="live-bars" role="img">
        ${"<span><i></i></span>".repeat(layers[1].o)}</div>
      <p class="live-title">In numbers</p>
      <label>Layer <select name="layer">${numbers.join("")}</select></label>
      <label>output <input name="unit" type="number" min="1"></label>
      <div class="live-scroll" tabindex="0" role="region"
           aria-label="arithmetic"><table class="live-arithmetic"></table></div>`;
    const on = (name, event, action) =>
      this.find(`[name=${name}]`).addEventListener(event, (e) =>
        this.dispatch(action(Number(e.target.value))),
      );
    on("all", "click", () => ({ type: "all" }));
    on("layer", "input", (layer) => ({ type: "unit", layer }));
    on("unit", "input", (n) => ({ type: "unit", unit: n - 1 }));
    this.filters(layers[0]);
  }

  filters({ weights, f, o }) {
    for (let k = 0; k < o; k++) {
      const button = document.createElement("button");
      button.type = "button";
      button.innerHTML = `<canvas width="${f}" height="${f}"></canvas><i></i>`;
      const w = weights.subarray(k * f * f, (k + 1) * f * f);
      const most = Math.max(...w.map(Math.abs)) || 1;
      srcnnPaint(button.firstChild, w, -most, most);
      button.addEventListener("click", () =>
        this.dispatch({ type: "toggle", filter: k }),
      );
      this.find(".live-filters").append(button);
    }
  }

  explain({ layers }, { input, output, patch, contributions, at }) {
    const number = srcnnNumber;
    const grey = (v) => (v * 255).toFixed(1);
    this.find(".live-where").textContent =
      `Row ${at[1] + 1}, column ${at[0] + 1}: bicubic interpolation gives ` +
      `${number(input)}, the network ${number(output)} ` +
      `(in 0…1; × 255: ${grey(input)} and ${grey(output)}).`;
    const size = patch.length ** 0.5;
    const canvas = this.find(".live-patch");
    [canvas.width, canvas.height] = [size, size];
    srcnnPaint(canvas, patch, 0, 1);
    canvas.setAttribute("aria-label", `receptive field of ${size} × ${size} pixels`);
    canvas.nextElementSibling.textContent =
      `Its receptive field: ${size} × ${size} pixels of the bicubic picture, ` +
      "framed above.";
    const last = layers.at(-1);
    const cells = contributions.map(
      (v, k) => `${k % last.f ? "" : "<tr>"}<td>${number(v)}</td>`,
    );
    this.find(".live-sum table").innerHTML = `<tbody>${cells.join("")}</tbody>`;
    const sum = contributions.reduce((s, v) => s + v, 0);
    this.find(".live-sum figcaption").textContent =
      `What each of the ${last.f} × ${last.f} pixels of layer 2 around it adds, over ` +
      `all its ${last.c} maps. Their sum is ${number(sum)}; with the bias, ` +
      `${number(last.biases[0])}, it is ${number(sum + last.biases[0])}.`;
  }

  responses({ values: [first, second] }, off) {
    const bars = (elements, values) => {
      const most = Math.max(...values, 1e-9);
      elements.forEach((e, k) => {
        e.querySelector("i").style.setProperty("--value", values[k] / most);
      });
    };
    const buttons = [...this.find(".live-filters").children];
    bars(buttons, first);
    buttons.forEach((button, k) => {
      const isOff = off.includes(k);
      button.setAttribute("aria-pressed", isOff);
      button.title =
        `filter ${k + 1}: response ${first[k].toFixed(4)}` +
        (isOff ? ", switched off" : "");
      button.setAttribute("aria-label", button.title);
    });
    const spans = [...this.find(".live-bars").children];
    bars(spans, second);
    spans.forEach((e, k) => {
      e.title = `${k + 1}: ${second[k].toFixed(4)}`;
    });
    const listed = [...second].map((v) => v.toFixed(4)).join(", ");
    this.find(".live-bars").setAttribute("aria-label", `mapped values: ${listed}`);
  }

  /* One sum of a layer, its largest products first. */
  arithmetic(trace, { layer, unit }) {
    const { o, biases } = this.layers[layer];
    this.find("[name=layer]").value = layer;
    const input = this.find("[name=unit]");
    input.max = o;
    // A number that is being typed is left alone, "" above all.
    if (document.activeElement !== input) input.value = unit + 1;
    const products = trace
      .terms(layer, unit)
      .map(([w, v]) => [w, v, w * v])
      .sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]));
    const others = products.splice(6);
    const rest = others.reduce((sum, p) => sum + p[2], 0);
    const sum = trace.sums[layer][unit];
    const number = srcnnNumber;
    const rows = products.map((p) => p.map(number));
    if (others.length) rows.push(["", `${others.length} smaller`, number(rest)]);
    rows.push(["", "bias", number(biases[unit])], ["", "sum", number(sum)]);
    if (layer < this.layers.length - 1)
      rows.push(["", "after the ReLU", number(Math.max(0, sum))]);
    const line = (row) => `<tr>${row.map((v) => `<td>${v}</td>`).join("")}</tr>`;
    this.find(".live-arithmetic").innerHTML =
      "<thead><tr><th>weight</th><th>value</th><th>product</th></tr></thead>" +
      `<tbody>${rows.map(line).join("")}</tbody>`;
  }
}

const srcnnNumber = (v) => v.toFixed(4).replace("-", "−");

/* The engine's trace of pixel `at` of a result, by the layers that made it. */
function srcnnTrace(engine, { source, active }, at) {
  const { width, height, scale } = source;
  const [x, y] = at;
  const [a, b] = engine.rowsNeeded(active, height, scale, y, y + 1);
  const rows = srcnnRows(source, a, b);
  const small = rows.small || engine.split(rows.rgba, rows.grey, rows.opaque);
  const place = { width, height, scale, x, y };
  return { ...engine.trace({ layers: active, small, smallTop: a, ...place }), at };
}

/* Grey values v of low…high on a canvas of their size. */
function srcnnPaint(canvas, v, low, high) {
  const image = new ImageData(canvas.width, canvas.height);
  for (let k = 0; k < v.length; k++) {
    const g = (255 * (v[k] - low)) / (high - low);
    image.data.set([g, g, g, 255], 4 * k);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
