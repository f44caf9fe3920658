/* What the reader asks for and what is shown: one object, which only next() replaces.
   No page and no network is needed here, so Node tests it (tests/live). */

"use strict";

const srcnnState = (() => {
  const MOST_PIXELS = 64e6; // of a picture or a result: what browsers' canvases hold
  const MOST_SIDE = 32767; // and of its sides
  const MOST_GROWING = 4e6; // of a result that is seen to grow, and kept meanwhile

  function begin(catalogue, { picture, task } = {}) {
    const known = catalogue.pictures.includes(picture);
    return {
      choice: {
        picture: known ? picture : catalogue.pictures[0], // or "own"
        task: task === "enlarge" ? task : "restore",
        scale: 3,
        model: catalogue.models[0],
      },
      off: [], // switched-off filters of layer 1
      own: null, // { name, file }: the reader's picture, kept for another choice
      picture: null, // the chosen one's pixels, once read
      phase: "rest", // or "reading", "running", "stopped"
      turn: 0, // counts what was asked for; only the last is answered
      run: null, // what grows: { canvas, width, height, grows }
      progress: 0,
      result: null, // what is whole, with the request that it answers
      said: "Drop, paste or choose a picture; it stays on your computer.",
      spot: null, // [x, y] of the result that is looked at
      divider: 50, // per cent
      inside: false, // whether the reader looks inside
      unit: { layer: 0, unit: 0 },
    };
  }

  /* Why a canvas can't hold a picture made `times` larger, or null. */
  function tooLarge({ name, width, height }, times = 1) {
    const pixels = width * height * times ** 2;
    if (pixels <= MOST_PIXELS && Math.max(width, height) * times <= MOST_SIDE)
      return null;
    return (
      `${name} ${times > 1 ? `at ×${times} would have` : "has"} ` +
      `${Math.round(pixels / 1e6)} million pixels, ${width * times} × ` +
      `${height * times}; this page stops at 64 million, and at ${MOST_SIDE} on a ` +
      "side. The command line, srcnn upscale, has no such limit."
    );
  }

  /* Why this picture can't be computed so, or null. */
  function refusal(picture, { task, scale }) {
    if (task === "enlarge") return tooLarge(picture, scale);
    const smallest = 12 + 3 * scale;
    if (Math.min(picture.width, picture.height) >= smallest) return null;
    return (
      `${picture.name} is too small to be shrunk: a side has fewer than ` +
      `${smallest} pixels. Enlarge it as it is instead.`
    );
  }

  const clamp = (v, n) => Math.max(0, Math.min(n - 1, v));
  const isBig = (result) => result.width * result.height > MOST_GROWING;

  /* Something else is asked for: what ran is of no use, nor is another's result. */
  function ask(state, changes) {
    const asked = { ...state, run: null, result: null, progress: 0, ...changes };
    asked.turn = state.turn + 1;
    if (!asked.picture) return { ...asked, phase: "reading", said: "Reading …" };
    const refused = refusal(asked.picture, asked.choice);
    if (refused) return { ...asked, phase: "rest", said: refused };
    return { ...asked, phase: "running", said: "Enlarging …" };
  }

  function switched(state, off) {
    if (!state.result) return state; // there is no filter to be seen
    const result = isBig(state.result) ? null : state.result;
    return ask(state, { off, result });
  }

  function cancelled(state) {
    const off = state.result ? state.result.request.off : state.off;
    const phase = state.result ? "rest" : "stopped";
    const turn = state.turn + 1;
    return { ...state, turn, off, phase, run: null, progress: 0, said: "Stopped." };
  }

  const isBusy = ({ phase }) => phase === "reading" || phase === "running";

  /* What the reader does. */
  const readers = {
    choose(state, { name, value }) {
      const choice = {
        ...state.choice,
        [name]: name === "scale" ? Number(value) : value,
      };
      const picture = name === "picture" ? null : state.picture;
      return ask(state, { choice, picture, off: [] });
    },
    file(state, { file }) {
      const own = { file, name: file.name || "picture" };
      const choice = { ...state.choice, picture: "own" };
      return ask(state, { own, choice, picture: null, off: [] });
    },
    start: (state) => ask(state, {}),
    cancel: (state) => (isBusy(state) ? cancelled(state) : state),
    toggle(state, { filter }) {
      const others = state.off.filter((k) => k !== filter);
      const was = others.length < state.off.length;
      return switched(state, was ? others : [...others, filter].sort((a, b) => a - b));
    },
    all: (state) => (state.off.length ? switched(state, []) : state),
    look(state, { x, y }) {
      if (!state.result) return state;
      const { width, height } = state.result;
      return { ...state, spot: [clamp(x, width), clamp(y, height)] };
    },
    inside: (state, { open }) =>
      open === state.inside ? state : { ...state, inside: open },
    divide: (state, { percent }) => ({ ...state, divider: Number(percent) }),
    unit(state, { layer = state.unit.layer, unit = state.unit.unit }) {
      const most = state.result ? state.result.layers[layer].o : unit + 1;
      return { ...state, unit: { layer, unit: clamp(Math.round(unit) || 0, most) } };
    },
  };

  /* What the work answers; an answer of another turn is none. */
  const answers = {
    read: (state, { picture }) => ({ ...ask(state, { picture }), turn: state.turn }),
    began: (state, { run }) => ({ ...state, run, progress: 0, said: "Enlarging …" }),
    progress: (state, { value, said = state.said }) => ({
      ...state,
      progress: value,
      said,
    }),
    done(state, { result, said }) {
      const { width, height } = result;
      const [x, y] = state.spot ?? [width, height];
      const spot = x < width && y < height ? state.spot : [width >> 1, height >> 1];
      const rest = { phase: "rest", run: null, progress: 0 };
      return { ...state, ...rest, result, spot, said };
    },
    failed: (state, { said }) => ({
      ...state,
      phase: "rest",
      run: null,
      result: null,
      progress: 0,
      said,
    }),
  };

  function next(state, action) {
    if (action.type in readers) return readers[action.type](state, action);
    return action.turn === state.turn ? answers[action.type](state, action) : state;
  }

  const request = ({ choice, off }) => ({ ...choice, off });

  return { begin, next, refusal, tooLarge, request, isBusy, isBig };
})();
