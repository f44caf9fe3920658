/* The network in the page: <div class="srcnn-live"></div> becomes a small application,
   and nothing leaves the browser.  What stands in the div stays until the first result.

   state.js says what is asked for and shown, view.js and inspect.js show it, files.js
   reads and writes pictures, engine.js computes, in the workers of pool.js.  All are
   plain scripts, since a page on a disk may load neither modules nor a worker's file. */

"use strict";

class SrcnnApp {
  constructor(root, catalogue, wasm) {
    this.root = root;
    this.engine = srcnnEngine(wasm);
    this.pool = new SrcnnPool(wasm);
    this.state = srcnnState.begin(catalogue, root.dataset);
    const dispatch = (action) => this.dispatch(action);
    this.view = new SrcnnView(root, catalogue, this.engine, dispatch, this.state);
    this.view.render(this.state);
  }

  dispatch(action) {
    const before = this.state;
    const state = srcnnState.next(before, action);
    if (state === before) return;
    this.state = state;
    this.view.render(state);
    if (state.turn !== before.turn) this.pool.stop();
    if (state.turn === before.turn && state.phase === before.phase) return;
    if (state.phase === "reading") this.work((turn) => this.read(turn));
    if (state.phase === "running") this.work((turn) => this.compute(turn));
  }

  /* Work on the state's request; `tell` is deaf once another was made. */
  async work(how) {
    const { turn } = this.state;
    try {
      await how(turn);
    } catch (error) {
      this.dispatch({ type: "failed", turn, said: error.message });
    }
  }

  async read(turn) {
    const { choice, own } = this.state;
    this.layers(choice).catch(() => {}); // fetched meanwhile; compute() says what is wrong
    this.pool.warm();
    const picture = await srcnnFiles.picture(choice, own);
    if (!picture.opaque && turn === this.state.turn)
      this.engine.spread(picture.rgba, picture.width, picture.height);
    this.dispatch({ type: "read", turn, picture });
  }

  layers = ({ model, scale }) => srcnnFiles.model(`${model}_x${scale}`);

  async compute(turn) {
    const { picture } = this.state;
    const request = srcnnState.request(this.state);
    const { scale } = request;
    const began = performance.now();
    const layers = await this.layers(request);
    if (turn !== this.state.turn) return;
    const { source, truth } = await this.source(turn, picture, request);
    const [width, height] = [source.width * scale, source.height * scale];
    const active = srcnnWithout(layers, request.off);
    const result = { request, picture, source, layers, active, truth, width, height };
    if (!(await this.grow(turn, result))) return;
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    const off = request.off.length;
    const notes = [...picture.notes];
    if (!picture.exact)
      notes.push(
        "This browser keeps no exact colours where a picture is transparent; " +
          "srcnn upscale does.",
      );
    const said = [
      `${source.width} × ${source.height} pixels enlarged to ${width} × ${height} ` +
        `in ${seconds} s, on this computer.`,
      ...(off ? [`${off} of ${layers[0].o} filters switched off.`] : []),
      ...notes,
    ].join(" ");
    this.dispatch({ type: "done", turn, result, said });
  }

  /* The small picture, and to restore it the large one that it was made of. */
  async source(turn, picture, { task, scale }) {
    // Enlarged, grey goes through the network in luma's range, as colour.
    if (task === "enlarge") return { source: { ...picture, scale, grey: false } };
    const truth = srcnnModcrop(picture, scale);
    const { width, height, rgba } = truth;
    const { grey, opaque } = picture;
    const tell = (value) =>
      this.dispatch({ type: "progress", turn, value, said: "Shrinking …" });
    tell(0);
    const source = {
      grey,
      opaque,
      scale,
      width: width / scale,
      height: height / scale,
    };
    const task1 = { kind: "shrink", rgba, width, height, grey, opaque, scale };
    const take = ({ small, luma }) => {
      source.small = small;
      truth.y = luma;
    };
    await this.pool.run(1, () => task1, take, tell);
    return { source, truth };
  }

  /* Compute a result's strips, seen as they come; whether it became whole. */
  async grow(turn, result) {
    const { source, active, truth, width, height } = result;
    const canvas = (name) => {
      const element = document.createElement("canvas");
      element.className = name;
      [element.width, element.height] = [width, height];
      return element;
    };
    result.canvas = { plain: canvas("live-plain"), sr: canvas("live-sr") };
    const contexts = Object.values(result.canvas).map((c) => c.getContext("2d"));
    // Drawn while it grows, a large canvas is copied at each strip.
    const grows = !srcnnState.isBig(result);
    const run = { canvas: result.canvas, width, height, grows };
    this.dispatch({ type: "began", turn, run });
    // A canvas would lose colours where it is transparent.
    result.clear = source.opaque ? null : new Uint8ClampedArray(4 * width * height);
    const luma = truth && [0, 1].map(() => new Uint8Array(width * height));
    for (const context of contexts) {
      context.putImageData(new ImageData(1, 1), 0, 0); // memory is got now
      if (!grows) await new Promise((next) => setTimeout(next));
    }
    if (turn !== this.state.turn) return false;
    const rows = Math.max(8, Math.min(64, Math.ceil(height / this.pool.size / 3)));
    const small = { width: source.width, height: source.height, scale: source.scale };
    const task = (k) => {
      const [top, bottom] = [k * rows, Math.min(height, (k + 1) * rows)];
      const { rowsNeeded } = this.engine;
      const [a, b] = rowsNeeded(active, small.height, small.scale, top, bottom);
      const part = { ...srcnnRows(source, a, b), smallTop: a };
      return { ...part, layers: active, ...small, top, bottom };
    };
    const draw = ({ top, plain, rgba, plainY, y }) => {
      contexts[0].putImageData(new ImageData(plain, width), 0, top);
      contexts[1].putImageData(new ImageData(rgba, width), 0, top);
      result.clear?.set(rgba, 4 * top * width);
      luma?.[0].set(plainY, top * width);
      luma?.[1].set(y, top * width);
    };
    await this.pool.run(Math.ceil(height / rows), task, draw, (value) =>
      this.dispatch({ type: "progress", turn, value }),
    );
    if (truth) {
      const [plain, sr] = luma.map((y) =>
        this.engine.psnr(truth.y, y, width, source.scale),
      );
      result.psnr = { plain, sr };
    }
    return true;
  }
}

/* Planes, or bytes, of rows a…b-1 of the small picture. */
function srcnnRows({ small, rgba, width, grey, opaque }, a, b) {
  if (!small) return { rgba: rgba.slice(4 * a * width, 4 * b * width), grey, opaque };
  const cut = {};
  for (const plane in small) cut[plane] = small[plane].slice(a * width, b * width);
  return { small: cut };
}

/* The large picture cut so that the scale divides its sides. */
function srcnnModcrop({ rgba, width, height }, scale) {
  const w = width - (width % scale);
  const h = height - (height % scale);
  if (w === width) return { rgba: rgba.subarray(0, 4 * w * h), width: w, height: h };
  const cut = new Uint8ClampedArray(4 * w * h);
  for (let y = 0; y < h; y++)
    cut.set(rgba.subarray(4 * y * width, 4 * (y * width + w)), 4 * y * w);
  return { rgba: cut, width: w, height: h };
}

/* The layers with some filters of the first switched off. */
function srcnnWithout(layers, off) {
  if (!off.length) return layers;
  const [first, next, ...others] = layers;
  const area = next.f * next.f;
  const weights = next.weights.slice();
  for (let o = 0; o < next.o; o++)
    for (const c of off)
      weights.fill(0, (o * next.c + c) * area, (o * next.c + c + 1) * area);
  return [first, { ...next, weights }, ...others];
}

async function srcnnBegin() {
  const roots = document.querySelectorAll(".srcnn-live");
  if (!roots.length) return;
  try {
    const catalogue = await srcnnFiles.need("packed/catalogue");
    const wasm = srcnnFiles.bytes(catalogue.wasm);
    for (const root of roots) {
      const app = new SrcnnApp(root, catalogue, wasm);
      root.srcnn = app;
      new IntersectionObserver((entries, observer) => {
        if (!entries.some((e) => e.isIntersecting)) return;
        observer.disconnect();
        if (!app.state.turn) app.dispatch({ type: "start" });
      }).observe(root);
    }
  } catch (error) {
    for (const root of roots) root.append(`This part can't run: ${error.message}.`);
  }
}
srcnnBegin();
