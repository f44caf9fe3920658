/* SRCNN in the reader's browser: what srcnn_lib does, without a server.

   SRCNN.upscale(picture, scale, model, {progress, signal}) → Promise of the
   large picture.  `picture` and the result are {width, height, data}, data in
   RGBA with 8 bits, such as ImageData; `model` is what `srcnn export --json`
   writes, or null for bicubic.  The work is cut into tiles for Web Workers.
   Nothing leaves the machine. */
"use strict";

const SRCNN = (() => {
  /* Everything that a worker needs; no name from outside is used. */
  function core() {
    const cubic = (x) => {
      x = Math.abs(x);
      if (x <= 1) return (1.5 * x - 2.5) * x * x + 1;
      return x <= 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    };

    /* The rows first … last - 1 of the matrix that resizes n pixels by `scale`,
       as MATLAB's imresize does: {taps, index, weight}, `taps` of each a row.
       Source: srcnn_lib/resize.py */
    function resizeRows(n, scale, first, last) {
      const stretch = Math.min(scale, 1); // a wider kernel when shrinking
      const width = 4 / stretch;
      const taps = Math.ceil(width) + 2;
      const index = new Int32Array(taps * (last - first));
      const weight = new Float64Array(taps * (last - first));
      for (let i = first, k = 0; i < last; i++, k += taps) {
        const centre = (i + 0.5) / scale - 0.5;
        const left = Math.floor(centre - width / 2);
        let sum = 0;
        for (let j = 0; j < taps; j++) {
          weight[k + j] = cubic(stretch * (centre - left - j));
          sum += weight[k + j];
          index[k + j] = Math.min(Math.max(left + j, 0), n - 1); // edges repeat
        }
        for (let j = 0; j < taps; j++) weight[k + j] /= sum;
      }
      return { taps, index, weight };
    }

    /* A plane, of which `plane` holds the part from (top, left) on in rows of
       `stride`, resized: Float64Array of `rows` times `columns`. */
    function resize(plane, stride, top, left, rows, columns) {
      const height = rows.weight.length / rows.taps;
      const width = columns.weight.length / columns.taps;
      const out = new Float64Array(height * width);
      const line = new Float64Array(stride);
      for (let y = 0; y < height; y++) {
        line.fill(0);
        for (let j = y * rows.taps; j < (y + 1) * rows.taps; j++) {
          const w = rows.weight[j];
          if (w === 0) continue; // its pixel may lie outside of the part
          const from = (rows.index[j] - top) * stride;
          for (let x = 0; x < stride; x++) line[x] += w * plane[from + x];
        }
        for (let x = 0, j = 0; x < width; x++) {
          let sum = 0;
          for (let t = 0; t < columns.taps; t++, j++) {
            if (columns.weight[j] !== 0)
              sum += columns.weight[j] * line[columns.index[j] - left];
          }
          out[y * width + x] = sum;
        }
      }
      return out;
    }

    /* Maps {data, height, width}, one behind the other, with edges repeated. */
    function pad({ data, height, width }, maps, top, bottom, left, right) {
      const h = top + height + bottom, w = left + width + right;
      const out = new Float64Array(maps * h * w);
      for (let m = 0, at = 0; m < maps; m++) {
        for (let y = 0; y < h; y++) {
          const row = Math.min(Math.max(y - top, 0), height - 1);
          const from = (m * height + row) * width;
          for (let x = 0; x < w; x++, at++)
            out[at] = data[from + Math.min(Math.max(x - left, 0), width - 1)];
        }
      }
      return { data: out, height: h, width: w };
    }

    /* Valid convolution; ReLU where wanted.  Row by row, as a sum of shifted
       rows of the input, eight at a time: so compilers make the most of it. */
    function convolve(input, layer, relu) {
      const [o, c, f] = layer.shape, { data, width } = input;
      const h = input.height - f + 1, w = width - f + 1;
      const size = c * f * f, full = 8 * Math.ceil(size / 8);
      const weight = new Float64Array(o * full); // with zeros at the end
      for (let k = 0; k < o; k++)
        for (let i = 0; i < size; i++)
          weight[k * full + i] = layer.weight[k * size + i];
      const shift = new Int32Array(full); // from a pixel to what it sees
      for (let k = 0; k < size; k++) {
        const map = Math.floor(k / (f * f)), row = Math.floor(k / f) % f;
        shift[k] = (map * input.height + row) * width + (k % f);
      }
      const out = new Float64Array(o * h * w);
      for (let k = 0; k < o; k++) {
        for (let y = 0; y < h; y++) {
          const at = (k * h + y) * w, from = y * width;
          out.fill(layer.bias[k], at, at + w);
          for (let t = 0; t < size; t += 8) {
            const i = k * full + t;
            const a = weight[i], b = weight[i + 1], d = weight[i + 2];
            const e = weight[i + 3], g = weight[i + 4], m = weight[i + 5];
            const n = weight[i + 6], q = weight[i + 7];
            const a0 = from + shift[t], b0 = from + shift[t + 1];
            const d0 = from + shift[t + 2], e0 = from + shift[t + 3];
            const g0 = from + shift[t + 4], m0 = from + shift[t + 5];
            const n0 = from + shift[t + 6], q0 = from + shift[t + 7];
            for (let x = 0; x < w; x++)
              out[at + x] += a * data[a0 + x] + b * data[b0 + x]
                + d * data[d0 + x] + e * data[e0 + x]
                + g * data[g0 + x] + m * data[m0 + x]
                + n * data[n0 + x] + q * data[q0 + x];
          }
          if (relu)
            for (let x = at; x < at + w; x++) if (out[x] < 0) out[x] = 0;
        }
      }
      return { data: out, height: h, width: w };
    }

    const reach = (model) =>
      model ? model.layers.reduce((sum, l) => sum + (l.shape[2] >> 1), 0) : 0;

    /* The network on a tile of bicubic luma.  `y` has `reach` pixels more on
       each side, but none beyond the picture; `edge` says, in the order top,
       bottom, left, right, where the picture ends, and edges are repeated. */
    function network(y, model, edge) {
      let maps = 1;
      model.layers.forEach((layer, i) => {
        const margin = layer.shape[2] >> 1;
        if (margin) y = pad(y, maps, ...edge.map((ends) => (ends ? margin : 0)));
        y = convolve(y, layer, i < model.layers.length - 1);
        maps = layer.shape[0];
      });
      return y;
    }

    /* First and last + 1 of the n small pixels that large ones rest on. */
    const support = (n, scale, first, last) => [
      Math.max(0, Math.floor(first / scale) - 3),
      Math.min(n, Math.ceil(last / scale) + 3),
    ];

    const RGB_TO_YCBCR = [
      [65.481, 128.553, 24.966, 16],
      [-37.797, -74.203, 112.0, 128],
      [112.0, -93.786, -18.214, 128],
    ];
    const YCBCR_TO_RGB = inverse(RGB_TO_YCBCR.map((row) => row.slice(0, 3)));

    function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
      const A = e * i - f * h, B = f * g - d * i, C = d * h - e * g;
      const det = a * A + b * B + c * C;
      return [
        [A, c * h - b * i, b * f - c * e],
        [B, a * i - c * g, c * d - a * f],
        [C, b * g - a * h, a * e - b * d],
      ].map((row) => row.map((value) => value / det));
    }

    /* Y, Cb, Cr (0…255) and alpha (0…1) of RGBA. */
    function planes(rgba) {
      const n = rgba.length / 4;
      const out = [0, 1, 2, 3].map(() => new Float64Array(n));
      for (let i = 0, j = 0; i < n; i++, j += 4) {
        RGB_TO_YCBCR.forEach(([r, g, b, offset], k) => {
          out[k][i] =
            (r * rgba[j] + g * rgba[j + 1] + b * rgba[j + 2]) / 255 + offset;
        });
        out[3][i] = rgba[j + 3] / 255;
      }
      return out;
    }

    /* One tile of the large picture, Uint8ClampedArray RGBA.

       part: {data, top, bottom, left, right}, RGBA of the small picture that is
       height × width as a whole; tile: {top, bottom, left, right} of the large. */
    function tile(part, height, width, tile, scale, model) {
      const stride = part.right - part.left;
      const [y, cb, cr, alpha] = planes(part.data);
      const enlarge = (plane, t, b, l, r) =>
        resize(plane, stride, part.top, part.left,
          resizeRows(height, scale, t, b), resizeRows(width, scale, l, r));
      const { top, bottom, left, right } = tile;
      const rest = [cb, cr, alpha].map((p) => enlarge(p, top, bottom, left, right));
      let luma;
      if (model) {
        const far = reach(model);
        const t = Math.max(0, top - far), b = Math.min(height * scale, bottom + far);
        const l = Math.max(0, left - far), r = Math.min(width * scale, right + far);
        let wide = enlarge(y, t, b, l, r);
        wide = { data: wide.map((v) => v / 255), height: b - t, width: r - l };
        // Where the picture ends within reach, edges are repeated by the layers.
        const edge = [t === 0, b === height * scale, l === 0, r === width * scale];
        const done = network(wide, model, edge);
        // Of such a side the tile came out with the rows up to the end.
        const skip = (edge[0] ? top - t : 0) * done.width + (edge[2] ? left - l : 0);
        luma = { data: done.data, stride: done.width, skip, factor: 255 };
      } else {
        luma = { data: enlarge(y, top, bottom, left, right),
          stride: right - left, skip: 0, factor: 1 };
      }
      const out = new Uint8ClampedArray(4 * (bottom - top) * (right - left));
      const round = (v) => Math.floor(255 * Math.min(Math.max(v, 0), 1) + 0.5);
      for (let i = 0, k = 0; i < bottom - top; i++) {
        for (let j = 0; j < right - left; j++, k++) {
          const at = luma.skip + i * luma.stride + j;
          const ycc = [luma.factor * luma.data[at] - 16, rest[0][k] - 128,
            rest[1][k] - 128];
          YCBCR_TO_RGB.forEach(([u, v, w], n) => {
            out[4 * k + n] = round(u * ycc[0] + v * ycc[1] + w * ycc[2]);
          });
          out[4 * k + 3] = round(rest[2][k]);
        }
      }
      return out;
    }

    return { resizeRows, resize, convolve, network, planes, reach, support, tile };
  }

  /* In a worker: a tile in, a tile out. */
  function serve(core) {
    let model = null;
    onmessage = ({ data: job }) => {
      if (job.model !== undefined) {
        model = job.model && { layers: job.model.layers.map((layer) =>
          ({ ...layer, weight: Float64Array.from(layer.weight) })) };
        return;
      }
      const out = core.tile(job.part, job.height, job.width, job.tile, job.scale, model);
      postMessage({ tile: job.tile, data: out }, [out.buffer]);
    };
  }

  /* From a Blob, as a page that was opened from a disk may start no file. */
  function worker() {
    const source = `(${serve})((${core})())`;
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const started = new Worker(address);
    URL.revokeObjectURL(address);
    return started;
  }

  const { support, reach, ...rest } = core();
  const TILE = 96; // large pixels: its maps stay in the processor's cache

  function tiles(height, width) {
    const all = [];
    for (let top = 0; top < height; top += TILE)
      for (let left = 0; left < width; left += TILE)
        all.push({ top, bottom: Math.min(top + TILE, height),
          left, right: Math.min(left + TILE, width) });
    return all;
  }

  /* What of the small picture a tile rests on. */
  function cut({ data, width, height }, tile, scale, far) {
    const [top, bottom] = support(height, scale, tile.top - far, tile.bottom + far);
    const [left, right] = support(width, scale, tile.left - far, tile.right + far);
    const part = new Uint8ClampedArray(4 * (bottom - top) * (right - left));
    for (let y = top; y < bottom; y++)
      part.set(data.subarray(4 * (y * width + left), 4 * (y * width + right)),
        4 * (y - top) * (right - left));
    return { data: part, top, bottom, left, right };
  }

  function upscale(picture, scale, model, { progress = () => {}, signal } = {}) {
    const width = picture.width * scale, height = picture.height * scale;
    const out = new Uint8ClampedArray(4 * width * height);
    const waiting = tiles(height, width), count = waiting.length;
    const workers = Array.from(
      { length: Math.min(navigator.hardwareConcurrency || 2, count) }, worker);
    let done = 0;
    return new Promise((resolve, reject) => {
      const fail = (reason) => reject(reason);
      if (signal) {
        signal.throwIfAborted();
        signal.addEventListener("abort", () => fail(signal.reason));
      }
      const next = (to) => {
        const tile = waiting.shift();
        if (!tile) return;
        const part = cut(picture, tile, scale, reach(model));
        to.postMessage({ part, tile, scale, height: picture.height,
          width: picture.width }, [part.data.buffer]);
      };
      for (const one of workers) {
        one.onerror = (event) => fail(new Error(event.message));
        one.onmessage = ({ data: { tile, data } }) => {
          const row = 4 * (tile.right - tile.left);
          for (let y = tile.top, from = 0; y < tile.bottom; y++, from += row)
            out.set(data.subarray(from, from + row), 4 * (y * width + tile.left));
          progress(++done / count);
          if (done === count) resolve({ width, height, data: out });
          else next(one);
        };
        one.postMessage({ model });
        next(one);
      }
    }).finally(() => workers.forEach((one) => one.terminate()));
  }

  return { upscale, core: { support, reach, ...rest } };
})();
