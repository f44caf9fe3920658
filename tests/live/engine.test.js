/* The engine, with WebAssembly and without: node --test tests/live */
const assert = require("node:assert/strict");
const { test } = require("node:test");
const { load, random, recorded, sha256, wasm } = require("./scripts.js");

const { srcnnEngine } = load(["engine"], ["srcnnEngine"]);
const engines = { "conv.wasm": srcnnEngine(wasm), "plain JavaScript": srcnnEngine([]) };

/* A network of random weights; o not a multiple of 4, so that rests are computed too. */
function network(
  next,
  sizes = [
    [9, 1, 10],
    [3, 10, 6],
    [5, 6, 1],
  ],
) {
  const spread = (n, most) =>
    Float32Array.from({ length: n }, () => most * (next() - 0.4));
  return sizes.map(([f, c, o]) => ({
    ...{ f, c, o, weights: spread(o * c * f * f, 2 / (c * f)), biases: spread(o, 0.1) },
  }));
}

/* The definition: each pixel a sum over its window, edges repeated. */
function defined(layers, y, width, height) {
  let maps = [Float64Array.from(y)];
  layers.forEach(({ f, c, o, weights, biases }, k) => {
    maps = Array.from({ length: o }, (_, out) =>
      Float64Array.from({ length: width * height }, (_, at) => {
        let sum = biases[out];
        for (let m = 0; m < c; m++)
          for (let i = 0; i < f; i++)
            for (let j = 0; j < f; j++) {
              const r = Math.floor(at / width) + i - (f >> 1);
              const q = (at % width) + j - (f >> 1);
              const row = Math.min(height - 1, Math.max(0, r));
              const column = Math.min(width - 1, Math.max(0, q));
              const w = weights[((out * c + m) * f + i) * f + j];
              sum += w * maps[m][row * width + column];
            }
        return k < layers.length - 1 ? Math.max(0, sum) : sum;
      }),
    );
  });
  return maps[0];
}

const most = (a, b) => a.reduce((most, v, k) => Math.max(most, Math.abs(v - b[k])), 0);

function picture(next, width, height, alpha = () => 255) {
  const rgba = new Uint8ClampedArray(4 * width * height);
  rgba.forEach((_, k) => {
    rgba[k] = k % 4 === 3 ? alpha(k >> 2) : 256 * next();
  });
  return { rgba, width, height };
}

test("only the compiled engine has SIMD", () => {
  assert.equal(engines["conv.wasm"].hasSimd(), true);
  assert.equal(engines["plain JavaScript"].hasSimd(), false);
});

test("conv.wasm was compiled from this conv.c: who changes one records both", () => {
  const found = ["conv.c", "conv.wasm"].map((name) => `${sha256(name)}  ${name}`);
  assert.deepEqual(recorded, found);
});

for (const [name, engine] of Object.entries(engines)) {
  test(`${name}: the network is its definition, strip by strip, at every edge`, () => {
    for (const [seed, width, height] of [
      [1, 23, 19],
      [2, 5, 7],
      [3, 300, 4],
    ]) {
      const next = random(seed);
      const layers = network(next);
      const y = Float64Array.from({ length: width * height }, next);
      const found = new Float64Array(width * height);
      for (let top = 0; top < height; top += 6) {
        const bottom = Math.min(height, top + 6);
        const rows = engine.network(layers, y, 0, width, height, top, bottom);
        found.set(rows, top * width);
      }
      assert.ok(most(found, defined(layers, y, width, height)) < 2e-6);
    }
  });

  test(`${name}: strips are the whole, and a pixel's trace is the pixel`, () => {
    const next = random(4);
    const layers = network(next);
    const [width, height, scale] = [14, 11, 3];
    const { rgba } = picture(next, width, height);
    const small = engine.split(rgba, false, true);
    const strip = (top, bottom) => {
      const [a, b] = engine.rowsNeeded(layers, height, scale, top, bottom);
      const cut = {};
      for (const plane in small) cut[plane] = small[plane].slice(a * width, b * width);
      const place = { width, height, scale, top, bottom };
      return engine.strip({ layers, small: cut, smallTop: a, ...place });
    };
    const whole = strip(0, 33);
    for (const key of ["y", "plainY", "rgba", "plain"]) {
      const parts = [strip(0, 8), strip(8, 16), strip(16, 33)].map((part) => part[key]);
      assert.deepEqual(
        parts.flatMap((part) => [...part]),
        [...whole[key]],
      );
    }
    for (const [x, y] of [
      [0, 0],
      [41, 32],
      [20, 15],
    ]) {
      const place = { width, height, scale, x, y };
      const trace = engine.trace({ layers, small, smallTop: 0, ...place });
      const byte = Math.max(0, Math.min(255, Math.floor(trace.output * 255 + 0.5)));
      assert.ok(Math.abs(byte - whole.y[y * 42 + x]) <= 1);
      const sum = trace.contributions.reduce((a, b) => a + b, layers[2].biases[0]);
      assert.ok(Math.abs(sum - trace.output) < 1e-9);
      const terms = trace
        .terms(1, 2)
        .reduce((s, [w, v]) => s + w * v, layers[1].biases[2]);
      assert.ok(Math.abs(terms - trace.sums[1][2]) < 1e-9);
    }
  });
}

test("both engines give the same numbers", () => {
  const next = random(5);
  const layers = network(next, [
    [9, 1, 64],
    [1, 64, 32],
    [5, 32, 1],
  ]);
  const y = Float64Array.from({ length: 40 * 30 }, next);
  const [a, b] = Object.values(engines).map((e) =>
    e.network(layers, y, 0, 40, 30, 0, 30),
  );
  assert.ok(most(a, b) < 1e-6);
});

test("shrinking keeps a constant, and the luma that is measured is whole numbers", () => {
  const engine = engines["conv.wasm"];
  const rgba = new Uint8ClampedArray(4 * 12 * 9)
    .fill(255)
    .map((v, k) => (k % 4 < 3 ? 100 : v));
  const grey = engine.shrink({
    rgba,
    width: 12,
    height: 9,
    grey: true,
    opaque: true,
    scale: 3,
  });
  assert.equal(grey.small.y.length, 12);
  assert.ok(grey.small.y.every((v) => Math.abs(v - 100 / 255) < 1e-12));
  assert.ok(grey.luma.every((v) => v === 100));
  assert.equal(
    engine
      .psnr(
        grey.luma,
        grey.luma.map((v) => v + 1),
        12,
        1,
      )
      .toFixed(3),
    "48.131",
  );
});

test("hidden colours become those of the nearest visible pixels, and only they", () => {
  const engine = engines["conv.wasm"];
  const inside = (at) => Math.hypot((at % 20) - 10, Math.floor(at / 20) - 10) < 5;
  const { rgba } = picture(random(6), 20, 20, (at) => (inside(at) ? 255 : 0));
  for (let at = 0; at < 400; at++)
    for (let k = 0; k < 3; k++) rgba[4 * at + k] = inside(at) ? 200 : 0;
  engine.spread(rgba, 20, 20);
  assert.ok(rgba.every((v, k) => k % 4 === 3 || v === 200));
  assert.deepEqual([rgba[3], rgba[4 * 210 + 3]], [0, 255]);
  const empty = new Uint8ClampedArray(16);
  engine.spread(empty, 2, 2);
  assert.deepEqual([...empty], Array(16).fill(0));
});
