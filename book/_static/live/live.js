/* The network in the page: <div class="srcnn-live"></div> becomes a small
   application.  engine.js computes, in workers; nothing leaves the browser.
   Weights and pictures were packed by the build (book/_ext/srcnn_live.py). */

"use strict";

const srcnnLive = {
  base: document.currentScript.src.replace(/[^/]*$/, ""),
  packed: {},
  MOST_PIXELS: 64e6, // of a result: what browsers' canvases hold
  MOST_GROWING: 4e6, // of a result that is seen to grow

  /* A packed file calls this with what it holds. */
  add(name, content) { this.packed[name] = content; },

  /* A script rather than fetch(), which a page on a disk may not use. */
  need(name) {
    if (name in this.packed) return Promise.resolve(this.packed[name]);
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${this.base}${name}.js`;
      script.onload = () => resolve(this.packed[name]);
      script.onerror = () => reject(new Error(`${name}.js is missing here`));
      document.head.append(script);
    });
  },

  bytes(base64) {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  },

  async model(name) {
    const floats = (text) => new Float32Array(this.bytes(text).buffer);
    return (await this.need(`packed/${name}`)).map((l) => ({
      ...l, weights: floats(l.weights), biases: floats(l.biases),
    }));
  },
};

/* Workers that share the strips of one picture. */
class SrcnnPool {
  constructor(wasm) {
    const text = `"use strict"; ${srcnnEngine}
      let engine;
      onmessage = ({ data }) => {
        if (data.wasm) { engine = srcnnEngine(data.wasm); return; }
        const { task, id } = data;
        if (task.kind === "shrink") {
          const told = (done) => postMessage({ id, progress: done });
          const result = engine.shrink(task, told);
          const planes = [result.luma, ...Object.values(result.small)];
          postMessage({ id, result }, planes.map((v) => v.buffer));
          return;
        }
        if (task.rgba) task.small = engine.split(task.rgba, task.grey, task.opaque);
        const result = engine.strip(task);
        postMessage({ id, result }, Object.values(result)
          .filter((v) => v.buffer).map((v) => v.buffer)
          .filter((b, k, all) => all.indexOf(b) === k));
      };`;
    this.url = URL.createObjectURL(new Blob([text]));
    this.wasm = wasm;
    this.size = Math.max(1, Math.min(8, navigator.hardwareConcurrency || 2));
    this.workers = [];
  }

  /* Do tasks in order, each made when a worker is free for it. */
  run(count, make, onResult, onProgress = () => {}) {
    this.stop();
    return new Promise((resolve, reject) => {
      let next = 0, done = 0;
      this.refuse = reject;
      const give = (worker) => {
        if (next === count) return;
        const id = next++;
        const task = make(id);
        worker.postMessage({ id, task });
      };
      for (let k = 0; k < Math.min(this.size, count); k++) {
        const worker = this.workers[k] ??= this.worker();
        worker.onerror = (e) => this.stop(e.message);
        worker.onmessage = ({ data }) => {
          if (data.progress !== undefined) return onProgress(data.progress);
          onResult(data.result, data.id);
          onProgress(++done / count);
          if (done < count) return give(worker);
          this.refuse = null;
          resolve();
        };
        give(worker);
      }
    });
  }

  worker() {
    const worker = new Worker(this.url);
    worker.postMessage({ wasm: this.wasm });
    return worker;
  }

  /* End what is running; its promise is refused where there is a reason.  Idle
     workers stay: their code has been compiled. */
  stop(reason) {
    if (!this.refuse) return;
    this.workers.forEach((worker) => worker.terminate());
    this.workers = [];
    if (reason) this.refuse(new Error(reason));
    this.refuse = null;
  }
}

/* A PNG file of RGBA bytes, as they are (a canvas changes transparent ones). */
async function srcnnPng(rgba, width, height) {
  const lines = new Uint8Array(height * (4 * width + 1)); // 0 first: no filter
  for (let y = 0; y < height; y++)
    lines.set(rgba.subarray(4 * y * width, 4 * (y + 1) * width),
              y * (4 * width + 1) + 1);
  const zipped = new Blob([lines]).stream()
    .pipeThrough(new CompressionStream("deflate"));
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const number = (n) => new Uint8Array(new Uint32Array([n]).buffer).reverse();
  function chunk(type, content) {
    const body = new Uint8Array(4 + content.length);
    body.set(new TextEncoder().encode(type));
    body.set(content, 4);
    let crc = ~0;
    for (const byte of body) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
    return [number(content.length), body, number(~crc)];
  }
  return new Blob([
    Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10),
    ...chunk("IHDR", Uint8Array.of(...number(width), ...number(height),
                                   8, 6, 0, 0, 0)),
    ...chunk("IDAT", new Uint8Array(await new Response(zipped).arrayBuffer())),
    ...chunk("IEND", []),
  ], { type: "image/png" });
}

class SrcnnApp {
  constructor(root, catalogue, wasm) {
    this.root = root;
    this.catalogue = catalogue;
    this.engine = srcnnEngine(wasm);
    this.pool = new SrcnnPool(wasm);
    this.off = new Set(); // switched-off filters of layer 1
    this.spot = null; // [x, y] of the result that is looked at
    this.turn = 0; // counts what was asked for; only the last is answered
    this.build();
    this.listen();
  }

  // What is on the page -------------------------------------------------------
  build() {
    const options = (list) => list
      .map(([value, text]) => `<option value="${value}">${text}</option>`)
      .join("");
    this.root.innerHTML = `
      <div class="live-controls">
        <label>Picture <select name="picture">
          ${options(this.catalogue.pictures.map((name) => [name, name]))}
          <option value="own" hidden>yours</option></select></label>
        <label class="live-file">or your own
          <input type="file" name="file" accept="image/*"></label>
        <label>Task <select name="task">${options([
          ["restore", "shrink it, then restore it (the book’s test)"],
          ["enlarge", "enlarge it as it is"]])}</select></label>
        <label>Scale <select name="scale">${options(
          [[2, "×2"], [3, "×3"], [4, "×4"]])}</select></label>
        <label>Network <select name="model">${options(
          this.catalogue.models.map((m) => [m, m]))}</select></label>
      </div>
      <p class="live-status"><span role="status"></span>
        <progress max="1" value="0" hidden aria-label="progress"></progress>
        <button type="button" name="cancel" hidden>Cancel</button></p>
      <div class="live-result" hidden>
        <div class="live-stage" tabindex="0" role="application"
             aria-label="The result. Arrow keys move the window that is
             enlarged below; Enter looks inside at its centre.">
          <canvas class="live-plain"></canvas>
          <canvas class="live-sr"></canvas>
          <span class="live-tag live-left">bicubic</span>
          <span class="live-tag live-right">SRCNN</span>
          <span class="live-window" aria-hidden="true"></span>
        </div>
        <label class="live-divider">bicubic
          <input type="range" name="divider" min="0" max="100" value="50"
                 aria-label="divider between bicubic and SRCNN"> SRCNN</label>
        <div class="live-zoom"></div>
        <p class="live-score"></p>
        <p><button type="button" name="save">Save the result</button></p>
        <details class="live-inside"><summary>Look inside: how one pixel
          comes about</summary><div></div></details>
      </div>`;
    this.find = (selector) => this.root.querySelector(selector);
    this.input = (name) => this.find(`[name="${name}"]`);
    this.input("scale").value = 3;
    if (this.root.dataset.task) this.input("task").value = this.root.dataset.task;
    this.status = this.find('[role="status"]');
    this.canvas = { plain: this.find(".live-plain"), sr: this.find(".live-sr") };
    this.say("Drop, paste or choose a picture; it stays on your computer.");
  }

  listen() {
    for (const name of ["task", "scale", "model"])
      this.input(name).addEventListener("change", () => {
        this.off.clear();
        this.start();
      });
    this.input("picture").addEventListener("change", () => this.embedded());
    this.input("file").addEventListener("change", (e) => {
      if (e.target.files.length) this.own(e.target.files[0]);
    });
    this.input("cancel").addEventListener("click", () =>
      this.pool.stop("Stopped."));
    this.input("save").addEventListener("click", () => this.save());
    this.input("divider").addEventListener("input", (e) =>
      this.divide(e.target.value));
    this.divide(50);
    this.root.addEventListener("dragover", (e) => e.preventDefault());
    this.root.addEventListener("drop", (e) => {
      e.preventDefault();
      if (e.dataTransfer.files.length) this.own(e.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (e) => {
      const file = e.clipboardData && e.clipboardData.files[0];
      if (file) this.own(file);
    });
    const stage = this.find(".live-stage");
    stage.addEventListener("pointermove", (e) => {
      if (e.pointerType === "mouse") this.look(...this.pixelAt(e));
    });
    stage.addEventListener("click", (e) => {
      this.look(...this.pixelAt(e));
      this.inside(true);
    });
    stage.addEventListener("keydown", (e) => this.key(e));
    this.find(".live-inside").addEventListener("toggle", () => this.inside());
  }

  say(text) { this.status.textContent = text; }

  divide(percent) {
    this.canvas.sr.style.clipPath = `inset(0 0 0 ${percent}%)`;
    this.find(".live-stage").style.setProperty("--divider", `${percent}%`);
  }

  // Pictures in, picture out --------------------------------------------------
  async embedded() {
    const name = this.input("picture").value;
    const turn = ++this.turn;
    try {
      const png = srcnnLive.bytes(await srcnnLive.need(`packed/${name}`));
      if (turn === this.turn)
        await this.take(new Blob([png], { type: "image/png" }), name);
    } catch (error) { this.say(error.message); }
  }

  own(file) {
    const option = this.find('option[value="own"]');
    option.hidden = false;
    option.textContent = file.name || "yours";
    this.input("picture").value = "own";
    return this.take(file, (file.name || "picture").replace(/\.\w+$/, ""));
  }

  async take(blob, name) {
    const turn = this.another();
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob, {
        colorSpaceConversion: "none", premultiplyAlpha: "none",
      });
    } catch (error) {
      if (turn === this.turn)
        this.say(`${name}: not a picture that this browser can read; ` +
          "try a PNG or JPEG.");
      return;
    }
    let picture;
    try {
      picture = await this.pixels(bitmap);
    } catch (error) {
      if (turn === this.turn)
        this.say(`${name}: ${bitmap.width} × ${bitmap.height} pixels are more ` +
          "than this browser can hold.");
      return;
    } finally { bitmap.close(); }
    if (turn !== this.turn) return;
    this.picture = { name, ...picture };
    this.off.clear();
    await this.start();
  }

  /* Bytes of a picture, some rows at a time, so that the page stays awake. */
  async pixels(bitmap) {
    const { width, height } = bitmap, ROWS = 128;
    const rgba = new Uint8ClampedArray(4 * width * height);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, ROWS];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    let grey = true, opaque = true;
    for (let top = 0; top < height; top += ROWS) {
      const rows = Math.min(ROWS, height - top);
      context.clearRect(0, 0, width, ROWS);
      context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
      const { data } = context.getImageData(0, 0, width, rows);
      rgba.set(data, 4 * top * width);
      for (let k = 0; opaque && k < data.length; k += 4) {
        opaque = data[k + 3] === 255;
        grey &&= data[k] === data[k + 1] && data[k] === data[k + 2];
      }
      await new Promise((next) => setTimeout(next));
    }
    const exact = opaque || await this.uncovered(bitmap, rgba, ROWS);
    return { rgba, width, height, grey: grey && opaque, opaque, exact };
  }

  /* Where a picture is transparent a canvas loses colours; WebGL keeps them.
     Whether it could. */
  async uncovered(bitmap, rgba, ROWS) {
    const { width, height } = bitmap;
    const gl = document.createElement("canvas").getContext("webgl");
    if (!gl || width > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return false;
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    const texture = gl.getParameter(gl.TEXTURE_BINDING_2D);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    const format = [gl.RGBA, gl.UNSIGNED_BYTE];
    for (let top = 0; top < height; top += ROWS) {
      const rows = Math.min(ROWS, height - top);
      const part = await createImageBitmap(
        bitmap, 0, top, width, rows, { premultiplyAlpha: "none" });
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, ...format, part);
      gl.framebufferTexture2D(
        gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
      const bytes = new Uint8Array(rgba.buffer, 4 * top * width, 4 * rows * width);
      gl.readPixels(0, 0, width, rows, ...format, bytes);
      part.close();
    }
    return gl.getError() === gl.NO_ERROR;
  }

  /* End what is running without a word: something else is asked for. */
  another() {
    this.pool.stop();
    this.busy(false);
    return ++this.turn;
  }

  /* The large picture cut so that the scale divides its sides. */
  modcrop({ rgba, width, height }, scale) {
    const w = width - (width % scale), h = height - (height % scale);
    if (w === width) return { rgba: rgba.subarray(0, 4 * w * h), width: w, height: h };
    const cut = new Uint8ClampedArray(4 * w * h);
    for (let y = 0; y < h; y++)
      cut.set(rgba.subarray(4 * y * width, 4 * (y * width + w)), 4 * y * w);
    return { rgba: cut, width: w, height: h };
  }

  async start() {
    if (!this.picture) return;
    const turn = this.another();
    const scale = Number(this.input("scale").value);
    const restore = this.input("task").value === "restore";
    const { width, height, name } = this.picture;
    const smallest = 12 + 3 * scale;
    if (restore && Math.min(width, height) < smallest) {
      this.say(`${name} is too small to be shrunk: a side has fewer than ` +
        `${smallest} pixels. Enlarge it as it is instead.`);
      return;
    }
    if (!restore && width * height * scale ** 2 > srcnnLive.MOST_PIXELS) {
      const mega = Math.round(width * height * scale ** 2 / 1e6);
      this.say(`${name} at ×${scale} would have ${mega} million pixels; ` +
        "this page stops at 64 million. Take a smaller scale, or the " +
        "command line, which has no such limit.");
      return;
    }
    this.busy(true);
    const began = performance.now();
    try {
      const layers = await srcnnLive.model(
        `${this.input("model").value}_x${scale}`);
      if (turn !== this.turn) return;
      this.layers = layers;
      const source = { ...this.picture, scale };
      // Enlarged, grey goes through the network in luma's range, as colour.
      if (!restore) source.grey = false;
      this.truth = null;
      if (restore) {
        Object.assign(source, this.modcrop(this.picture, scale));
        this.truth = { rgba: source.rgba, width: source.width };
        this.say("Shrinking …");
        await this.pool.run(1, () => ({
          kind: "shrink", rgba: source.rgba, width: source.width,
          height: source.height, grey: source.grey,
          opaque: source.opaque, scale,
        }), ({ small, luma }) => {
          source.small = small;
          this.truth.y = luma;
        }, (d) => this.progress(d));
        source.width /= scale;
        source.height /= scale;
        delete source.rgba;
      }
      this.source = source;
      await this.compute();
      if (turn !== this.turn) return;
      const seconds = ((performance.now() - began) / 1000).toFixed(2);
      this.say(`${source.width} × ${source.height} pixels enlarged to ` +
        `${source.width * scale} × ${source.height * scale} in ${seconds} s, ` +
        "on this computer." + (source.exact ? "" : " This browser keeps no exact " +
          "colours where a picture is transparent; srcnn upscale does."));
    } catch (error) { this.say(error.message); }
    this.busy(false);
  }

  busy(is) {
    this.root.toggleAttribute("data-busy", is);
    this.find("progress").hidden = this.input("cancel").hidden = !is;
    this.progress(0);
  }

  progress(value) { this.find("progress").value = value; }

  /* Planes, or bytes, of rows a…b-1 of the small picture. */
  smallRows(a, b) {
    const { small, rgba, width, grey, opaque } = this.source;
    if (!small)
      return { rgba: rgba.slice(4 * a * width, 4 * b * width), grey, opaque };
    const cut = {};
    for (const plane in small) cut[plane] = small[plane].slice(a * width, b * width);
    return { small: cut };
  }

  activeLayers() {
    if (!this.off.size) return this.layers;
    const layers = this.layers.map((l) => ({ ...l }));
    const next = layers[1];
    const area = next.f * next.f;
    next.weights = next.weights.slice();
    for (let o = 0; o < next.o; o++)
      for (const c of this.off)
        next.weights.fill(0, (o * next.c + c) * area, (o * next.c + c + 1) * area);
    return layers;
  }

  async compute() {
    const { width, height, scale } = this.source;
    const [W, H] = [width * scale, height * scale];
    const layers = this.activeLayers();
    const { turn } = this;
    for (const canvas of Object.values(this.canvas))
      [canvas.width, canvas.height] = [W, H];
    const contexts = {};
    for (const name in this.canvas)
      contexts[name] = this.canvas[name].getContext("2d");
    // Drawn while it grows, a large canvas is copied at each strip.
    this.find(".live-result").hidden = W * H > srcnnLive.MOST_GROWING;
    this.find(".live-stage").style.aspectRatio = `${W} / ${H}`;
    this.find(".live-stage").style.maxWidth = `${Math.max(W, 240)}px`;
    const rows = Math.max(8, Math.min(64, Math.ceil(H / this.pool.size / 3)));
    if (!this.spot || this.spot[0] >= W || this.spot[1] >= H)
      this.spot = [W >> 1, H >> 1];
    this.find(".live-score").textContent = "";
    this.input("save").disabled = true; // till the picture is whole
    // A canvas would lose colours where it is transparent.
    this.clear = this.source.opaque ? null : new Uint8ClampedArray(4 * W * H);
    const luma = this.truth && { y: new Uint8Array(W * H), plainY: new Uint8Array(W * H) };
    this.say("Enlarging …");
    for (const name in contexts) { // memory is got now: one at a time
      contexts[name].putImageData(new ImageData(1, 1), 0, 0);
      await new Promise((next) => setTimeout(next));
    }
    if (turn !== this.turn) return;
    await this.pool.run(Math.ceil(H / rows), (k) => {
      const [top, bottom] = [k * rows, Math.min(H, (k + 1) * rows)];
      const [a, b] = this.engine.rowsNeeded(layers, height, scale, top, bottom);
      return { ...this.smallRows(a, b), smallTop: a, layers, width, height,
               scale, top, bottom };
    }, (strip) => {
      const image = (bytes) => new ImageData(bytes, W);
      contexts.plain.putImageData(image(strip.plain), 0, strip.top);
      contexts.sr.putImageData(image(strip.rgba), 0, strip.top);
      if (this.clear) this.clear.set(strip.rgba, 4 * strip.top * W);
      if (luma) {
        luma.y.set(strip.y, strip.top * W);
        luma.plainY.set(strip.plainY, strip.top * W);
      }
    }, (d) => this.progress(d));
    this.find(".live-result").hidden = this.input("save").disabled = false;
    this.score(luma, W, scale);
    this.look(...this.spot);
    this.inside();
  }

  score(luma, W, scale) {
    const line = this.find(".live-score");
    if (!luma) {
      line.textContent = "There is no large picture to compare with, so " +
        "there is no PSNR.";
      return;
    }
    const [plain, sr] = [luma.plainY, luma.y]
      .map((y) => this.engine.psnr(this.truth.y, y, W, scale));
    const [a, b, c] = [plain, sr, sr - plain].map((v) => v.toFixed(3));
    line.innerHTML = `PSNR on luma: bicubic <b>${a} dB</b>, SRCNN ` +
      `<b>${b} dB</b> (${sr < plain ? "" : "+"}${c})`.replace("-", "−") +
      (this.off.size ? `; ${this.off.size} filters switched off` : "") + ".";
    this.psnr = { plain, sr };
  }

  async save() {
    const { name, scale } = this.source;
    const { sr } = this.canvas;
    const blob = this.clear ? await srcnnPng(this.clear, sr.width, sr.height)
      : await new Promise((done) => sr.toBlob(done, "image/png"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name}_x${scale}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
  }

  // The window that is enlarged -----------------------------------------------
  pixelAt(event) {
    const { width, height } = this.canvas.sr;
    const box = this.canvas.sr.getBoundingClientRect();
    const at = (v, n) => Math.max(0, Math.min(n - 1, Math.floor(v * n)));
    return [at((event.clientX - box.left) / box.width, width),
            at((event.clientY - box.top) / box.height, height)];
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0],
                    ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Enter") this.inside(true);
    if (!(event.key in moves) || !this.spot) return;
    event.preventDefault();
    const step = event.shiftKey ? 10 : 1;
    const { width, height } = this.canvas.sr;
    const [dx, dy] = moves[event.key];
    this.look(Math.max(0, Math.min(width - 1, this.spot[0] + dx * step)),
              Math.max(0, Math.min(height - 1, this.spot[1] + dy * step)));
    clearTimeout(this.later);
    this.later = setTimeout(() => this.inside(), 150);
  }

  look(x, y) {
    const SIZE = 32, ZOOM = 6;
    const { width: W, height: H } = this.canvas.sr;
    if (!this.source || !W) return;
    this.spot = [x, y];
    const left = Math.max(0, Math.min(W - SIZE, x - SIZE / 2));
    const top = Math.max(0, Math.min(H - SIZE, y - SIZE / 2));
    const border = this.layers.reduce((sum, l) => sum + (l.f >> 1), 0);
    const mark = this.find(".live-window").style;
    mark.left = `${(100 * left) / W}%`;
    mark.top = `${(100 * top) / H}%`;
    mark.width = `${(100 * SIZE) / W}%`;
    mark.height = `${(100 * SIZE) / H}%`;
    const views = [["bicubic", this.canvas.plain], ["SRCNN", this.canvas.sr]];
    if (this.truth) views.push(["the truth", null]);
    const zoom = this.find(".live-zoom");
    while (zoom.children.length < views.length)
      zoom.insertAdjacentHTML("beforeend",
        `<figure><div><canvas width="${SIZE}" height="${SIZE}" role="img"></canvas>
         <span class="live-field"></span></div><figcaption></figcaption></figure>`);
    while (zoom.children.length > views.length) zoom.lastChild.remove();
    views.forEach(([title, canvas], k) => {
      const target = zoom.children[k].querySelector("canvas");
      const caption = zoom.children[k].querySelector("figcaption");
      const field = zoom.children[k].querySelector(".live-field").style;
      field.left = `${(100 * (x - left - border)) / SIZE}%`;
      field.top = `${(100 * (y - top - border)) / SIZE}%`;
      field.width = field.height = `${(100 * (2 * border + 1)) / SIZE}%`;
      zoom.children[k].style.maxWidth = `${SIZE * ZOOM}px`;
      target.setAttribute("aria-label", `${title}, enlarged at ${x}, ${y}`);
      caption.textContent = title;
      const context = target.getContext("2d");
      if (canvas) {
        context.clearRect(0, 0, SIZE, SIZE);
        context.drawImage(canvas, -left, -top);
        return;
      }
      const image = context.createImageData(SIZE, SIZE);
      for (let r = 0; r < SIZE; r++) {
        const from = 4 * ((top + r) * this.truth.width + left);
        image.data.set(this.truth.rgba.subarray(from, from + 4 * SIZE), 4 * r * SIZE);
      }
      context.putImageData(image, 0, 0);
    });
  }

  // One pixel -----------------------------------------------------------------
  trace() {
    const { width, height, scale } = this.source;
    const [x, y] = this.spot;
    const layers = this.activeLayers();
    const [a, b] = this.engine.rowsNeeded(layers, height, scale, y, y + 1);
    const rows = this.smallRows(a, b);
    const small = rows.small || this.engine.split(rows.rgba, rows.grey, rows.opaque);
    return this.engine.trace(
      { layers, small, smallTop: a, width, height, scale, x, y });
  }

  inside(open) {
    const details = this.find(".live-inside");
    if (open) details.open = true;
    if (!details.open || !this.source) return;
    const trace = this.trace();
    const { layers } = this;
    const number = (v) => v.toFixed(4).replace("-", "−");
    const box = details.querySelector("div");
    if (box.dataset.layers !== String(layers[0].o) + this.input("model").value) {
      box.dataset.layers = String(layers[0].o) + this.input("model").value;
      box.innerHTML = `
        <p class="live-where"></p>
        <div class="live-columns">
          <figure><canvas class="live-patch" role="img"></canvas>
            <figcaption></figcaption></figure>
          <figure class="live-sum" tabindex="0"><table></table><figcaption></figcaption></figure>
        </div>
        <p class="live-title">Layer 1: ${layers[0].o} filters and their responses</p>
        <p>Press a filter to switch it off and on again.
          <button type="button" name="all">All on</button></p>
        <div class="live-filters"></div>
        <p class="live-title">Layer 2: ${layers[1].o} mapped values</p>
        <div class="live-bars" role="img"></div>
        <p class="live-title">In numbers</p>
        <label>Layer <select name="layer">
          ${layers.map((_, k) => `<option>${k + 1}</option>`).join("")}
          </select></label>
        <label>output <input name="unit" type="number" min="1" value="1"></label>
        <div class="live-scroll" tabindex="0" role="region"
             aria-label="arithmetic"><table class="live-arithmetic"></table></div>`;
      this.input("all").addEventListener("click", () => {
        this.off.clear();
        this.again();
      });
      for (const name of ["layer", "unit"])
        this.input(name).addEventListener("input", () => this.inside());
      this.filters(box.querySelector(".live-filters"));
      box.querySelector(".live-bars").innerHTML =
        "<span><i></i></span>".repeat(layers[1].o);
    }
    const size = trace.patch.length ** 0.5;
    box.querySelector(".live-where").textContent =
      `Row ${this.spot[1] + 1}, column ${this.spot[0] + 1}: bicubic ` +
      `interpolation gives ${number(trace.input)}, the network ` +
      `${number(trace.output)} (in 0…1; × 255: ` +
      `${(trace.input * 255).toFixed(1)} and ${(trace.output * 255).toFixed(1)}).`;
    const patch = box.querySelector(".live-patch");
    [patch.width, patch.height] = [size, size];
    this.paint(patch, trace.patch, 0, 1);
    patch.setAttribute("aria-label", `receptive field of ${size} × ${size} pixels`);
    patch.nextElementSibling.textContent =
      `Its receptive field: ${size} × ${size} pixels of the bicubic picture, ` +
      "framed above.";
    const last = layers[layers.length - 1];
    let cells = "";
    trace.contributions.forEach((v, k) => {
      cells += (k % last.f ? "" : "<tr>") + `<td>${number(v)}</td>`;
    });
    box.querySelector(".live-sum table").innerHTML = `<tbody>${cells}</tbody>`;
    const sum = trace.contributions.reduce((s, v) => s + v, 0);
    box.querySelector(".live-sum figcaption").textContent =
      `What each of the ${last.f} × ${last.f} pixels of layer 2 around it adds, over all ` +
      `its ${last.c} maps. Their sum is ${number(sum)}; with the bias, ` +
      `${number(last.biases[0])}, it is ${number(sum + last.biases[0])}.`;
    this.responses(box, trace);
    this.arithmetic(trace, number);
  }

  /* Grey values v of low…high on a canvas of their size. */
  paint(canvas, v, low, high) {
    const image = new ImageData(canvas.width, canvas.height);
    for (let k = 0; k < v.length; k++) {
      const g = (255 * (v[k] - low)) / (high - low);
      image.data.set([g, g, g, 255], 4 * k);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  filters(box) {
    const { weights, f, o } = this.layers[0];
    const area = f * f;
    for (let k = 0; k < o; k++) {
      const button = document.createElement("button");
      button.type = "button";
      button.innerHTML = `<canvas width="${f}" height="${f}"></canvas><i></i>`;
      const w = weights.subarray(k * area, (k + 1) * area);
      const most = Math.max(...w.map(Math.abs)) || 1;
      this.paint(button.firstChild, w, -most, most);
      button.addEventListener("click", () => {
        if (!this.off.delete(k)) this.off.add(k);
        this.again();
      });
      box.append(button);
    }
  }

  responses(box, trace) {
    const [first, second] = trace.values;
    const bars = (elements, values) => {
      const most = Math.max(...values, 1e-9);
      elements.forEach((e, k) => {
        e.querySelector("i").style.setProperty("--value", values[k] / most);
      });
    };
    const buttons = [...box.querySelectorAll(".live-filters button")];
    bars(buttons, first);
    buttons.forEach((button, k) => {
      button.setAttribute("aria-pressed", this.off.has(k));
      const label = `filter ${k + 1}: response ${first[k].toFixed(4)}` +
        (this.off.has(k) ? ", switched off" : "");
      button.title = label;
      button.setAttribute("aria-label", label);
    });
    const spans = [...box.querySelectorAll(".live-bars span")];
    bars(spans, second);
    spans.forEach((e, k) => { e.title = `${k + 1}: ${second[k].toFixed(4)}`; });
    box.querySelector(".live-bars").setAttribute("aria-label",
      `mapped values: ${[...second].map((v) => v.toFixed(4)).join(", ")}`);
  }

  /* One sum of a layer, its largest products first. */
  arithmetic(trace, number) {
    const layer = Number(this.input("layer").value) - 1;
    const { o, biases } = this.layers[layer];
    const unit = this.input("unit");
    unit.max = o;
    const k = Math.max(0, Math.min(o - 1, Math.round(unit.value) - 1 || 0));
    const products = trace.terms(layer, k).map(([w, v]) => [w, v, w * v])
      .sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]));
    const rest = products.splice(6).reduce((sum, p) => sum + p[2], 0);
    const sum = trace.sums[layer][k];
    const rows = products.map((p) => p.map(number));
    const others = trace.terms(layer, k).length - products.length;
    if (others) rows.push(["", `${others} smaller`, number(rest)]);
    rows.push(["", "bias", number(biases[k])], ["", "sum", number(sum)]);
    if (layer < this.layers.length - 1)
      rows.push(["", "after the ReLU", number(Math.max(0, sum))]);
    this.find(".live-arithmetic").innerHTML =
      "<thead><tr><th>weight</th><th>value</th><th>product</th></tr></thead>" +
      `<tbody>${rows.map((row) =>
        `<tr>${row.map((v) => `<td>${v}</td>`).join("")}</tr>`).join("")}</tbody>`;
  }

  /* The picture once more, with other filters. */
  async again() {
    const { turn } = this;
    this.busy(true);
    try {
      await this.compute();
      if (turn !== this.turn) return;
      this.say(this.off.size
        ? `${this.off.size} of ${this.layers[0].o} filters switched off.`
        : "All filters on.");
    } catch (error) { this.say(error.message); }
    this.busy(false);
  }
}

srcnnLive.begin = async function () {
  const roots = document.querySelectorAll(".srcnn-live");
  if (!roots.length) return;
  try {
    const catalogue = await this.need("packed/catalogue");
    const wasm = this.bytes(catalogue.wasm);
    for (const root of roots) {
      const app = new SrcnnApp(root, catalogue, wasm);
      root.srcnn = app;
      new IntersectionObserver((entries, observer) => {
        if (!entries.some((e) => e.isIntersecting)) return;
        observer.disconnect();
        if (!app.picture) app.embedded();
      }).observe(root);
    }
  } catch (error) {
    for (const root of roots) root.textContent = `This part can't run: ${error.message}.`;
  }
};
srcnnLive.begin();
