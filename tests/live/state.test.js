/* What the page says and shows, as a function of what the reader did. */
const assert = require("node:assert/strict");
const { test } = require("node:test");
const { load, random } = require("./scripts.js");

const { srcnnState, srcnnHeader } = load(
  ["state", "files"],
  ["srcnnState", "srcnnHeader"],
);
const CATALOGUE = { pictures: ["butterfly", "cat"], models: ["9-1-5", "9-5-5"] };
const layers = [{ o: 64 }, { o: 32 }, { o: 1 }];
const picture = { name: "a", width: 90, height: 60 };
const act = (state, ...actions) => actions.reduce(srcnnState.next, state);
const begin = (about) => srcnnState.begin(CATALOGUE, about);
const choose = (name, value) => ({ type: "choose", name, value });

/* What the work answers to the state's request. */
function answer(state, file = picture) {
  const { turn } = state;
  if (state.phase === "reading")
    return act(state, { type: "read", turn, picture: file });
  const request = srcnnState.request(state);
  const [width, height] = [state.picture.width, state.picture.height];
  const result = { request, width, height, layers };
  return act(state, { type: "done", turn, result, said: "done" });
}
const settled = (state) => (srcnnState.isBusy(state) ? settled(answer(state)) : state);
const ready = () => settled(act(begin(), { type: "start" }));

test("a start reads, then computes, then shows", () => {
  const reading = act(begin({ picture: "cat", task: "enlarge" }), { type: "start" });
  assert.deepEqual([reading.phase, reading.choice.picture], ["reading", "cat"]);
  const running = answer(reading);
  assert.deepEqual([running.phase, running.turn], ["running", reading.turn]);
  const shown = answer(running);
  assert.deepEqual([shown.phase, shown.said, shown.spot], ["rest", "done", [45, 30]]);
  assert.equal(begin({ picture: "none", task: "none" }).choice.picture, "butterfly");
});

test("answers to what is no longer asked for change nothing", () => {
  const state = act(ready(), choose("scale", "2"));
  for (const type of ["read", "began", "progress", "done", "failed"])
    assert.equal(act(state, { type, turn: state.turn - 1, result: {} }), state);
});

test("another choice drops the result and switched-off filters, a filter does not", () => {
  const off = settled(
    act(ready(), { type: "toggle", filter: 7 }, { type: "toggle", filter: 3 }),
  );
  assert.deepEqual(
    [off.off, off.result.request.off],
    [
      [3, 7],
      [3, 7],
    ],
  );
  const again = act(off, { type: "toggle", filter: 7 });
  assert.deepEqual([again.off, again.result], [[3], off.result]);
  const other = act(off, choose("model", "9-5-5"));
  assert.deepEqual([other.off, other.result, other.phase], [[], null, "running"]);
  assert.equal(act(other, { type: "toggle", filter: 1 }), other); // none is shown
});

test("an own picture is kept for the way back, and the same file counts anew", () => {
  const file = { name: "mine.png" };
  const own = settled(act(ready(), { type: "file", file }));
  const cat = settled(act(own, choose("picture", "cat")));
  assert.equal(cat.choice.picture, "cat");
  const back = act(cat, choose("picture", "own"));
  assert.deepEqual([back.phase, back.own.file, back.picture], ["reading", file, null]);
  assert.equal(act(own, { type: "file", file }).turn, own.turn + 1);
});

test("cancel ends any work, in any phase, and start takes it up", () => {
  for (const state of [
    act(begin(), { type: "start" }),
    act(ready(), choose("scale", "4")),
  ]) {
    const stopped = act(state, { type: "cancel" });
    assert.deepEqual([stopped.phase, stopped.result], ["stopped", null]);
    assert.equal(settled(act(stopped, { type: "start" })).phase, "rest");
  }
  const off = act(ready(), { type: "toggle", filter: 0 }, { type: "cancel" });
  assert.deepEqual([off.phase, off.off, off.said], ["rest", [], "Stopped."]);
  const rest = ready();
  assert.equal(act(rest, { type: "cancel" }), rest);
});

test("what can't be computed is said, and nothing is shown", () => {
  const said = (width, height, ...choices) => {
    const asked = act(ready(), ...choices, { type: "file", file: { name: "x.png" } });
    const state = answer(asked, { name: "x", width, height });
    assert.equal(state.result, null);
    return state.phase === "rest" && state.said;
  };
  assert.match(said(20, 500), /too small to be shrunk: a side has fewer than 21/);
  assert.equal(said(21, 500), false);
  const enlarge = choose("task", "enlarge");
  assert.match(said(3000, 4000, enlarge), /at ×3 would have 108 million pixels/);
  assert.match(said(1, 20000, enlarge), /3 × 60000; this page stops .* 32767/);
  assert.equal(said(1, 1, enlarge), false);
});

test("spot, unit and divider stay inside what is shown", () => {
  const state = act(ready(), { type: "look", x: 900, y: -5 });
  assert.deepEqual(state.spot, [89, 0]);
  const unit = (...steps) =>
    act(state, ...steps.map((s) => ({ type: "unit", ...s }))).unit;
  assert.deepEqual(unit({ unit: 63 }, { layer: 1 }), { layer: 1, unit: 31 });
  assert.deepEqual(unit({ unit: NaN }), { layer: 0, unit: 0 });
  assert.equal(act(state, { type: "divide", percent: "30" }).divider, 30);
  const small = act(state, { type: "file", file: {} });
  const shown = settled(answer(small, { name: "s", width: 30, height: 30 }));
  assert.deepEqual(shown.spot, [15, 15]); // the old one lies outside
});

test("whatever is done, what is shown answers what is chosen", () => {
  const next = random(1);
  const pick = (list) => list[Math.floor(next() * list.length)];
  let state = begin();
  for (let k = 0; k < 5000; k++) {
    const action = pick([
      choose("picture", pick(["butterfly", "cat", ...(state.own ? ["own"] : [])])),
      choose("scale", pick(["2", "3", "4"])),
      choose("model", pick(CATALOGUE.models)),
      choose("task", pick(["restore", "enlarge"])),
      { type: "file", file: { name: "f.png" } },
      { type: pick(["cancel", "start", "all"]) },
      { type: "toggle", filter: Math.floor(next() * 64) },
    ]);
    state = act(state, action);
    if (next() < 0.7 && srcnnState.isBusy(state)) state = answer(state);
    if (!state.result) continue;
    const { off, ...choice } = state.result.request;
    assert.deepEqual(choice, state.choice);
    if (state.phase === "rest") assert.deepEqual(off, state.off);
  }
});

test("headers tell size, movement, inks and depth, and never throw", () => {
  const bytes = (...parts) =>
    Uint8Array.from(Buffer.concat(parts.map((part) => Buffer.from(part, "latin1"))));
  const png = bytes(
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    [0, 0, 117, 48, 0, 0, 117, 48, 16],
    "\0".repeat(12),
  );
  const head = srcnnHeader(png);
  assert.deepEqual([head.width, head.height], [30000, 30000]);
  assert.match(head.notes[0], /16 bits/);
  const frame = [0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 1, 0, 0];
  const gif = bytes("GIF89a", [1, 0, 1, 0, 0, 0, 0], frame, frame, [0x3b]);
  assert.match(srcnnHeader(gif).notes[0], /animation/);
  assert.deepEqual(srcnnHeader(gif.subarray(0, 27)).notes, []);
  const jpeg = bytes([
    0xff, 0xd8, 0xff, 0xe0, 0, 3, 0, 0xff, 0xc0, 0, 9, 8, 0, 5, 0, 6, 4,
  ]);
  const { width, height, notes } = srcnnHeader(jpeg);
  assert.deepEqual([width, height, notes.length], [6, 5, 1]);
  assert.equal(srcnnHeader(bytes('<?xml version="1.0"?><svg >')).isDrawing, true);
  const next = random(2);
  for (const start of [
    png,
    gif,
    jpeg,
    bytes("RIFF____WEBPVP8X"),
    bytes("BM"),
    bytes(""),
  ])
    for (let k = 0; k < 200; k++) {
      const noise = Uint8Array.from({ length: 64 * next() }, () => 256 * next());
      srcnnHeader(bytes(start.subarray(0, start.length * next()), noise));
      srcnnHeader(bytes(start, noise));
    }
});
