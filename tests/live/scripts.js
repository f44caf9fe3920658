/* The page's plain scripts, run in one scope as a browser does; what they define. */
const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const path = require("node:path");

const folder = path.join(__dirname, "..", "..", "book", "_static", "live");
const read = (name) => readFileSync(path.join(folder, name));

exports.load = (files, names) =>
  new Function(
    `${files.map((name) => read(`${name}.js`)).join("\n")}; return { ${names} };`,
  )();
exports.wasm = read("conv.wasm");
exports.recorded = read("conv.sha256").toString().trim().split("\n");
exports.sha256 = (name) => createHash("sha256").update(read(name)).digest("hex");

/* Numbers in 0…1 that a seed decides (mulberry32). */
exports.random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
