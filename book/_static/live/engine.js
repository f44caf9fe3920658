/* SRCNN, MATLAB's imresize and the book's luma, as srcnn_lib has them.

   One function without a dependency: a page calls it, a worker gets its text,
   since a page opened from a disk may not load a worker's file.  Luma and
   chroma are in 0…1 and 0…255 as in images.py; pictures are RGBA bytes. */

function srcnnEngine(wasm) {
  "use strict";

  // Colour: BT.601, studio range (images.py) --------------------------------
  const FORWARD = [
    [65.481, 128.553, 24.966],
    [-37.797, -74.203, 112],
    [112, -93.786, -18.214],
  ];
  const OFFSET = [16, 128, 128];
  const INVERSE = invert(FORWARD);

  function invert([[a, b, c], [d, e, f], [g, h, i]]) {
    const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
    return [
      [(e * i - f * h) / det, (c * h - b * i) / det, (b * f - c * e) / det],
      [(f * g - d * i) / det, (a * i - c * g) / det, (c * d - a * f) / det],
      [(d * h - e * g) / det, (b * g - a * h) / det, (a * e - b * d) / det],
    ];
  }

  /* Planes of a picture: y in 0…1 and, unless it is grey, cb, cr in 0…255 and,
     unless it is opaque, alpha in 0…1.  Measured, a grey picture is its own
     luma. */
  function split(rgba, grey, opaque) {
    const n = rgba.length / 4;
    const planes = {};
    for (const name of planesOf(grey, opaque)) planes[name] = new Float64Array(n);
    const { y, cb, cr, alpha } = planes;
    if (grey) {
      for (let k = 0; k < n; k++) y[k] = rgba[4 * k] / 255;
      return planes;
    }
    const [Y, B, R] = FORWARD;
    for (let k = 0; k < n; k++) {
      const r = rgba[4 * k] / 255,
        g = rgba[4 * k + 1] / 255;
      const b = rgba[4 * k + 2] / 255;
      y[k] = (Y[0] * r + Y[1] * g + Y[2] * b + OFFSET[0]) / 255;
      cb[k] = B[0] * r + B[1] * g + B[2] * b + OFFSET[1];
      cr[k] = R[0] * r + R[1] * g + R[2] * b + OFFSET[2];
      if (alpha) alpha[k] = rgba[4 * k + 3] / 255;
    }
    return planes;
  }

  /* Where a picture is transparent its hidden colours would bleed into the edge of
     what is seen: they become those of the nearest visible pixels, in place, as far
     as any filter reaches. */
  function spread(rgba, width, height, reach = 48) {
    const known = new Uint8Array(width * height);
    for (let k = 0; k < known.length; k++) known[k] = rgba[4 * k + 3] ? 1 : 0;
    const around = (visit) => (at) => {
      const x = at % width;
      if (x > 0) visit(at - 1, at);
      if (x < width - 1) visit(at + 1, at);
      if (at >= width) visit(at - width, at);
      if (at < known.length - width) visit(at + width, at);
    };
    let front = new Set();
    const find = around((to, from) => known[to] || front.add(from));
    for (let at = 0; at < known.length; at++) if (known[at]) find(at);
    for (let step = 0; step < reach && front.size; step++) {
      const next = new Set();
      const grow = around((to, from) => {
        if (known[to]) return;
        known[to] = 1;
        for (let k = 0; k < 3; k++) rgba[4 * to + k] = rgba[4 * from + k];
        next.add(to);
      });
      front.forEach(grow);
      front = next;
    }
  }

  const planesOf = (grey, opaque) => [
    "y",
    ...(grey ? [] : ["cb", "cr"]),
    ...(opaque ? [] : ["alpha"]),
  ];

  // Into a Uint8ClampedArray, which cuts off what is outside 0…255.
  const toByte = (v) => Math.floor(v * 255 + 0.5);

  function toBytes(y) {
    const bytes = new Uint8ClampedArray(y.length);
    for (let k = 0; k < y.length; k++) bytes[k] = toByte(y[k]);
    return bytes;
  }

  /* The inverse: planes of n pixels, with another luma, to RGBA. */
  function join(y, { cb, cr, alpha }) {
    const rgba = new Uint8ClampedArray(4 * y.length);
    const [R, G, B] = INVERSE;
    for (let k = 0, at = 0; k < y.length; k++, at += 4) {
      if (!cb) {
        rgba[at] = rgba[at + 1] = rgba[at + 2] = toByte(y[k]);
        rgba[at + 3] = 255;
        continue;
      }
      const l = y[k] * 255 - OFFSET[0];
      const b = cb[k] - OFFSET[1],
        r = cr[k] - OFFSET[2];
      rgba[at] = toByte(R[0] * l + R[1] * b + R[2] * r);
      rgba[at + 1] = toByte(G[0] * l + G[1] * b + G[2] * r);
      rgba[at + 2] = toByte(B[0] * l + B[1] * b + B[2] * r);
      rgba[at + 3] = alpha ? toByte(alpha[k]) : 255;
    }
    return rgba;
  }

  // MATLAB's imresize along one axis (resize.py) ----------------------------
  function cubic(x) {
    x = Math.abs(x);
    if (x <= 1) return 1.5 * x ** 3 - 2.5 * x ** 2 + 1;
    return x <= 2 ? -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 : 0;
  }

  /* For each output pixel which inputs it sums, and with what weights. */
  function resizeTable(nIn, nOut, scale) {
    const stretch = Math.min(1, scale);
    const width = 4 / stretch,
      count = Math.ceil(width) + 2;
    const index = new Int32Array(nOut * count);
    const weight = new Float64Array(nOut * count);
    for (let i = 0; i < nOut; i++) {
      const centre = (i + 0.5) / scale - 0.5;
      const first = Math.floor(centre - width / 2);
      let sum = 0;
      for (let t = 0; t < count; t++) {
        const w = cubic(stretch * (centre - first - t));
        index[i * count + t] = Math.min(nIn - 1, Math.max(0, first + t));
        weight[i * count + t] = w;
        sum += w;
      }
      for (let t = 0; t < count; t++) weight[i * count + t] /= sum;
    }
    return { count, index, weight };
  }

  /* Rows top…bottom-1 of a resized plane; row(i) gives row i of the plane. */
  function resizeRows(row, down, across, top, bottom) {
    const width = across.index.length / across.count;
    const out = new Float64Array((bottom - top) * width);
    let line;
    for (let y = top; y < bottom; y++) {
      for (let t = 0; t < down.count; t++) {
        const w = down.weight[y * down.count + t];
        const input = row(down.index[y * down.count + t]);
        if (!t) line = new Float64Array(input.length);
        if (w) for (let x = 0; x < line.length; x++) line[x] += w * input[x];
      }
      const at = (y - top) * width,
        { count, index, weight } = across;
      for (let x = 0, t = 0; x < width; x++) {
        let sum = 0;
        for (const end = t + count; t < end; t++) sum += weight[t] * line[index[t]];
        out[at + x] = sum;
      }
    }
    return out;
  }

  /* The protocol's small picture: RGBA whose sides `scale` divides → planes,
     and `luma`, the large one's in whole numbers 0…255, which is what is
     measured.  Luma is rounded to these first, chroma and alpha are not. */
  function shrink({ rgba, width, height, grey, opaque, scale }, onRow) {
    const w = width / scale,
      h = height / scale;
    const down = resizeTable(height, h, 1 / scale);
    const across = resizeTable(width, w, 1 / scale);
    const names = planesOf(grey, opaque);
    const small = {},
      luma = new Uint8ClampedArray(width * height);
    for (const name of names) small[name] = new Float64Array(w * h);
    const rows = new Map(); // of the large picture, split; the few in use
    function row(i) {
      if (!rows.has(i)) {
        const part = rgba.subarray(4 * i * width, 4 * (i + 1) * width);
        const planes = split(part, grey, opaque);
        const bytes = luma.subarray(i * width, (i + 1) * width);
        for (let x = 0; x < width; x++) {
          bytes[x] = toByte(planes.y[x]);
          planes.y[x] = bytes[x] / 255;
        }
        rows.set(i, planes);
      }
      return rows.get(i);
    }
    for (let y = 0; y < h; y++) {
      for (const name of names) {
        const line = resizeRows((i) => row(i)[name], down, across, y, y + 1);
        small[name].set(line, y * w);
      }
      const needed = down.index[Math.min(h - 1, y + 1) * down.count];
      for (const i of rows.keys()) if (i < needed) rows.delete(i);
      if (onRow) onRow(y / h);
    }
    return { small, luma };
  }

  // The network ---------------------------------------------------------------
  const memory = new WebAssembly.Memory({ initial: 16 });
  const ARENA = 1 << 17; // what lies below is the compiler's
  let compiled = null;
  try {
    const module = new WebAssembly.Module(wasm);
    const instance = new WebAssembly.Instance(module, { env: { memory } });
    compiled = instance.exports.conv;
  } catch {
    compiled = null; // a browser without SIMD: slower, the same numbers
  }

  function reserve(bytes) {
    const missing = bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  }

  /* conv.c in JavaScript; `l` as its Layer, pointers in bytes. */
  function convolve(l) {
    if (compiled) {
      new Int32Array(memory.buffer, ARENA, 16).set([
        l.in,
        l.weights,
        l.biases,
        l.out,
        l.inTop,
        l.inRows,
        l.inStride,
        l.c,
        l.f,
        l.outTop,
        l.outRows,
        l.outStride,
        l.o,
        l.relu ? 1 : 0,
        l.width,
        l.height,
      ]);
      compiled(ARENA);
      return;
    }
    const m = new Float32Array(memory.buffer);
    const { width } = l,
      half = l.f >> 1,
      sums = new Float32Array(width);
    for (let o = 0; o < l.o; o++) {
      const four = o < l.o - (l.o % 4),
        step = four ? 4 : 1;
      const size = l.c * l.f * l.f;
      const first = l.weights / 4 + (four ? (o - (o % 4)) * size + (o % 4) : o * size);
      for (let y = l.outTop; y < l.outTop + l.outRows; y++) {
        sums.fill(m[l.biases / 4 + o]);
        let at = first;
        for (let c = 0; c < l.c; c++)
          for (let i = 0; i < l.f; i++) {
            const r = Math.min(l.height - 1, Math.max(0, y + i - half));
            let from = l.in / 4 + (c * l.inRows + r - l.inTop) * l.inStride;
            for (let j = 0; j < l.f; j++, from++, at += step) {
              const w = m[at];
              for (let x = 0; x < width; x++) sums[x] += w * m[from + x];
            }
          }
        const to = l.out / 4 + (o * l.outRows + y - l.outTop) * l.outStride;
        for (let x = 0; x < width; x++)
          m[to + x] = l.relu ? Math.max(0, sums[x]) : sums[x];
      }
    }
  }

  /* Weights as conv.c reads them: by four outputs, then one by one. */
  function pack({ weights, o, c, f }) {
    const size = c * f * f,
      packed = new Float32Array(o * size);
    const fours = o - (o % 4);
    for (let k = 0; k < o; k++)
      for (let t = 0; t < size; t++) {
        const at = k < fours ? (k - (k % 4)) * size + 4 * t + (k % 4) : k * size + t;
        packed[at] = weights[k * size + t];
      }
    return packed;
  }

  const TILE = 256; // columns at a time, a multiple of conv.c's eight
  const clip = ([a, b], margin, n) => [
    Math.max(0, a - margin),
    Math.min(n, b + margin),
  ];

  /* Rows of F(Y).  layers: {f, c, o, weights, biases}; y: float rows
     `yTop`… of a picture of width × height; → Float32Array, rows top…bottom. */
  function network(layers, y, yTop, width, height, top, bottom) {
    const out = new Float32Array((bottom - top) * width);
    const last = layers.length - 1;
    let at = ARENA + 256;
    const place = (n) => {
      const here = at;
      at += 4 * n + 64;
      return here;
    };
    const fixed = layers.map((l) => ({
      weights: place(l.weights.length),
      biases: place(l.o),
    }));
    // What each layer gives: rows and, below, columns; input first.
    const rows = [[top, bottom]];
    for (let k = last; k >= 0; k--)
      rows.unshift(clip(rows[0], layers[k].f >> 1, height));
    const widest = TILE + 8 + layers.reduce((sum, l) => sum + 2 * (l.f >> 1), 0) + 8;
    const maps = rows.map(([a, b], k) =>
      place((k ? layers[k - 1].o : 1) * (b - a) * widest + 64),
    );
    reserve(at + 4096);
    const m = new Float32Array(memory.buffer);
    layers.forEach((l, k) => {
      m.set(pack(l), fixed[k].weights / 4);
      m.set(l.biases, fixed[k].biases / 4);
    });
    for (let left = 0; left < width; left += TILE) {
      const columns = [[left, Math.min(width, left + TILE)]];
      for (let k = last; k >= 0; k--)
        columns.unshift(clip(columns[0], layers[k].f >> 1, width));
      // Where the rows of map k begin, for the layer that reads them.
      const start = layers.map((l, k) => columns[k + 1][0] - (l.f >> 1));
      start.push(left);
      const [a, b] = columns[0],
        inRows = rows[0][1] - rows[0][0];
      for (let r = 0; r < inRows; r++) {
        const from = (rows[0][0] + r - yTop) * width;
        const to = maps[0] / 4 + r * widest - start[0];
        for (let x = a; x < b; x++) m[to + x] = y[from + x];
      }
      layers.forEach((l, k) => {
        const [x0, x1] = columns[k],
          half = l.f >> 1;
        repeatEdges(
          m,
          maps[k] / 4,
          l.c * (rows[k][1] - rows[k][0]),
          widest,
          x0 - start[k],
          x1 - start[k],
          columns[k + 1][1] + half - start[k],
        );
        convolve({
          in: maps[k],
          weights: fixed[k].weights,
          biases: fixed[k].biases,
          out: maps[k + 1] + 4 * (columns[k + 1][0] - start[k + 1]),
          inTop: rows[k][0],
          inRows: rows[k][1] - rows[k][0],
          inStride: widest,
          c: l.c,
          f: l.f,
          outTop: rows[k + 1][0],
          outRows: rows[k + 1][1] - rows[k + 1][0],
          outStride: widest,
          o: l.o,
          relu: k < last,
          width: columns[k + 1][1] - columns[k + 1][0],
          height,
        });
      });
      const [x0, x1] = columns[last + 1];
      for (let r = 0; r < bottom - top; r++) {
        const from = maps[last + 1] / 4 + r * widest;
        out.set(m.subarray(from, from + x1 - x0), r * width + x0);
      }
    }
    return out;
  }

  /* In each row the pixels first…last-1 are known; those before and, up to
     `end`, behind get the nearest one. */
  function repeatEdges(m, at, rows, stride, first, last, end) {
    for (let r = 0; r < rows; r++, at += stride) {
      if (first > 0) m.fill(m[at + first], at, at + first);
      if (end > last) m.fill(m[at + last - 1], at + last, at + end);
    }
  }

  /* A strip of the large picture.  small: planes of its rows smallTop… ; →
     {top, bottom, y, plainY, rgba, plain}: by the network and by bicubic. */
  function strip({ layers, small, smallTop, width, height, scale, top, bottom }) {
    const border = layers.reduce((sum, l) => sum + (l.f >> 1), 0);
    const [W, H] = [width * scale, height * scale];
    const [first, last] = clip([top, bottom], border, H);
    const down = resizeTable(height, H, scale);
    const across = resizeTable(width, W, scale);
    const enlarge = (plane, a, b) =>
      resizeRows(
        (i) => plane.subarray((i - smallTop) * width, (i - smallTop + 1) * width),
        down,
        across,
        a,
        b,
      );
    const seen = enlarge(small.y, first, last);
    const plainY = seen.subarray((top - first) * W, (bottom - first) * W);
    const y = network(layers, seen, first, W, H, top, bottom);
    const others = {};
    for (const name of ["cb", "cr", "alpha"])
      if (small[name]) others[name] = enlarge(small[name], top, bottom);
    return {
      top,
      bottom,
      y: toBytes(y),
      plainY: toBytes(plainY),
      rgba: join(y, others),
      plain: join(plainY, others),
    };
  }

  /* How pixel (x, y) comes about, straight from the definition.
     → {input, output, patch, sums, values, contributions, terms}: bicubic and
     network there, the pixels that it sees, each layer's sums there before and
     the inner ones' values after the ReLU, and what each pixel under the last
     filter adds, over all maps; output is their sum and the bias.  terms(k, o):
     the weights and values, [[w, v] …], whose products make sum o of layer k. */
  function trace({ layers, small, smallTop, width, height, scale, x, y }) {
    const border = layers.reduce((sum, l) => sum + (l.f >> 1), 0);
    const [W, H] = [width * scale, height * scale];
    const [first, last] = clip([y, y + 1], border, H);
    const seen = resizeRows(
      (i) => small.y.subarray((i - smallTop) * width, (i - smallTop + 1) * width),
      resizeTable(height, H, scale),
      resizeTable(width, W, scale),
      first,
      last,
    );
    const inside = (v, n) => Math.max(0, Math.min(n - 1, v));
    const pixel = (px, py) => [seen[(inside(py, H) - first) * W + inside(px, W)]];
    const patch = [];
    for (let i = -border; i <= border; i++)
      for (let j = -border; j <= border; j++) patch.push(pixel(x + j, y + i)[0]);
    const known = layers.map(() => new Map());
    function sumsAt(k, px, py) {
      px = inside(px, W);
      py = inside(py, H);
      const at = py * W + px;
      if (known[k].has(at)) return known[k].get(at);
      const { f, c, o, weights, biases } = layers[k];
      const sums = Float64Array.from(biases);
      for (let i = 0; i < f; i++)
        for (let j = 0; j < f; j++) {
          const input = valuesAt(k - 1, px + j - (f >> 1), py + i - (f >> 1));
          for (let out = 0; out < o; out++)
            for (let m = 0; m < c; m++)
              sums[out] += weights[((out * c + m) * f + i) * f + j] * input[m];
        }
      known[k].set(at, sums);
      return sums;
    }
    function valuesAt(k, px, py) {
      return k < 0 ? pixel(px, py) : sumsAt(k, px, py).map((v) => Math.max(0, v));
    }
    const end = layers.length - 1;
    const { f, c, weights } = layers[end];
    const contributions = [];
    for (let i = 0; i < f; i++)
      for (let j = 0; j < f; j++) {
        const input = valuesAt(end - 1, x + j - (f >> 1), y + i - (f >> 1));
        let sum = 0;
        for (let m = 0; m < c; m++) sum += weights[(m * f + i) * f + j] * input[m];
        contributions.push(sum);
      }
    function terms(k, out) {
      const { f, c, weights } = layers[k];
      const found = [];
      for (let i = 0; i < f; i++)
        for (let j = 0; j < f; j++) {
          const input = valuesAt(k - 1, x + j - (f >> 1), y + i - (f >> 1));
          for (let m = 0; m < c; m++)
            found.push([weights[((out * c + m) * f + i) * f + j], input[m]]);
        }
      return found;
    }
    const sums = layers.map((_, k) => sumsAt(k, x, y));
    return {
      input: pixel(x, y)[0],
      output: sums[end][0],
      patch,
      sums,
      values: sums.slice(0, end).map((_, k) => valuesAt(k, x, y)),
      contributions,
      terms,
    };
  }

  /* Rows of the small picture that a strip needs. */
  function rowsNeeded(layers, height, scale, top, bottom) {
    const border = layers.reduce((sum, l) => sum + (l.f >> 1), 0);
    const [a, b] = clip([top, bottom], border, height * scale);
    return clip([Math.floor(a / scale), Math.ceil(b / scale)], 3, height);
  }

  /* PSNR in dB of whole-number luma, `crop` pixels left out on each side. */
  function psnr(a, b, width, crop) {
    const height = a.length / width;
    let sum = 0;
    for (let y = crop; y < height - crop; y++)
      for (let x = crop; x < width - crop; x++)
        sum += (a[y * width + x] - b[y * width + x]) ** 2;
    const n = (height - 2 * crop) * (width - 2 * crop);
    return 10 * Math.log10((255 * 255 * n) / sum);
  }

  return {
    split,
    spread,
    shrink,
    strip,
    rowsNeeded,
    network,
    trace,
    psnr,
    hasSimd: () => compiled !== null,
  };
}
