/* The page's elements: render(state) makes them show a state, and they report what the
   reader does, as actions of state.js. */

"use strict";

class SrcnnView {
  constructor(root, catalogue, engine, dispatch, state) {
    Object.assign(this, { root, dispatch, first: state.choice, last: {} });
    this.find = (selector) => root.querySelector(selector);
    this.input = (name) => this.find(`[name="${name}"]`);
    this.build(catalogue);
    this.inspect = new SrcnnInspect(this.find(".live-inside div"), engine, dispatch);
    this.listen();
  }

  build({ pictures, models }) {
    const still = [...this.root.childNodes]; // shown until the first result
    const options = (list) =>
      list.map(([value, text]) => `<option value="${value}">${text}</option>`).join("");
    this.root.innerHTML = `
      <div class="live-still"></div>
      <div class="live-picture" hidden>
        <div class="live-stage" tabindex="0" role="application"
             aria-label="The result. Arrow keys move the window that is
             enlarged below; Enter looks inside at its centre.">
          <div class="live-canvases"></div>
          <span class="live-tag live-left">bicubic</span>
          <span class="live-tag live-right">SRCNN</span>
          <span class="live-window" aria-hidden="true"></span>
        </div>
        <label class="live-divider">bicubic
          <input type="range" name="divider" min="0" max="100"
                 aria-label="divider between bicubic and SRCNN"> SRCNN</label>
      </div>
      <p class="live-status"><span role="status"></span>
        <progress max="1" value="0" hidden aria-label="progress"></progress>
        <button type="button" name="cancel" hidden>Cancel</button>
        <button type="button" name="start" hidden>Start again</button></p>
      <div class="live-controls">
        <label class="live-file">Try your own
          <input type="file" name="file" accept="image/*"></label>
        <label>Picture <select name="picture">
          ${options(pictures.map((name) => [name, name]))}
          <option value="own" hidden></option></select></label>
        <label>Task <select name="task">${options([
          ["restore", "shrink it, then restore it (the book’s test)"],
          ["enlarge", "enlarge it as it is"],
        ])}</select></label>
        <label>Scale <select name="scale">${options(
          [2, 3, 4].map((scale) => [scale, `×${scale}`]),
        )}</select></label>
        <label>Network <select name="model">${options(
          models.map((name) => [name, name]),
        )}</select></label>
      </div>
      <div class="live-result" hidden>
        <p class="live-score"></p>
        <div class="live-zoom"></div>
        <p><button type="button" name="save">Save the result</button></p>
        <details class="live-inside"><summary>Look inside: how one pixel
          comes about</summary><div></div></details>
      </div>`;
    this.find(".live-still").append(...still);
  }

  listen() {
    const { dispatch, root } = this;
    const on = (name, event, action) =>
      this.input(name).addEventListener(event, (e) => dispatch(action(e.target.value)));
    for (const name of ["picture", "task", "scale", "model"])
      on(name, "change", (value) => ({ type: "choose", name, value }));
    for (const type of ["cancel", "start"]) on(type, "click", () => ({ type }));
    on("divider", "input", (percent) => ({ type: "divide", percent }));
    const own = (files) => files?.length && dispatch({ type: "file", file: files[0] });
    this.input("file").addEventListener("change", ({ target }) => {
      own([...target.files]);
      target.value = ""; // or the same file chosen again would change nothing
    });
    this.input("save").addEventListener("click", () =>
      srcnnFiles.save(this.last.result[0]),
    );
    root.addEventListener("dragover", (e) => e.preventDefault());
    root.addEventListener("drop", (e) => {
      e.preventDefault();
      own(e.dataTransfer.files);
    });
    document.addEventListener("paste", (e) => own(e.clipboardData?.files));
    const stage = this.find(".live-stage");
    const details = this.find(".live-inside");
    stage.addEventListener("pointermove", (e) => {
      // While one looks inside, the window stays at the pixel that is explained.
      if (e.pointerType === "mouse" && !details.open) this.look(...this.pixelAt(e));
    });
    stage.addEventListener("click", (e) => {
      this.look(...this.pixelAt(e));
      dispatch({ type: "inside", open: true });
    });
    stage.addEventListener("keydown", (e) => this.key(e));
    details.addEventListener("toggle", () =>
      dispatch({ type: "inside", open: details.open }),
    );
  }

  look(x, y) {
    this.dispatch({ type: "look", x, y });
  }

  pixelAt(event) {
    const stage = this.find(".live-stage");
    const box = stage.getBoundingClientRect();
    const [shown] = this.last.stage;
    return [
      Math.floor(((event.clientX - box.left) / box.width) * shown.width),
      Math.floor(((event.clientY - box.top) / box.height) * shown.height),
    ];
  }

  key(event) {
    const moves = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const [result, spot] = this.last.zoom ?? [];
    if (event.key === "Enter") this.dispatch({ type: "inside", open: true });
    if (!(event.key in moves) || !result) return;
    event.preventDefault();
    const step = event.shiftKey ? 10 : 1;
    const [dx, dy] = moves[event.key];
    this.look(spot[0] + dx * step, spot[1] + dy * step);
  }

  /* Whether a part has to be drawn anew, as one of these is another than last time. */
  changed(part, ...values) {
    const old = this.last[part];
    this.last[part] = values;
    return !old || values.some((v, k) => v !== old[k]);
  }

  render(state) {
    const { choice, own, result, phase } = state;
    const isBusy = srcnnState.isBusy(state);
    this.root.toggleAttribute("data-busy", isBusy);
    const option = this.find('option[value="own"]');
    if (own) [option.hidden, option.textContent] = [false, own.name];
    for (const name in choice) this.input(name).value = choice[name];
    if (this.changed("said", state.said))
      this.find('[role="status"]').textContent = state.said;
    this.find("progress").value = state.progress;
    this.find("progress").hidden = this.input("cancel").hidden = !isBusy;
    this.input("start").hidden = phase !== "stopped";
    this.input("save").disabled = !result || isBusy;
    this.stage(state, isBusy);
    const results = this.find(".live-result");
    if (!isBusy) results.hidden = !result;
    results.classList.toggle("live-waiting", !result);
    if (this.changed("result", result) && result) this.score(result);
    if (this.changed("zoom", result, state.spot) && result) this.zoom(state);
    this.find(".live-inside").open = state.inside;
    if (result && state.inside) this.inspect.render(state);
  }

  /* The result, or what grows.  While neither is there, what was there fades. */
  stage(state, isBusy) {
    const { run, result, turn, choice, divider } = state;
    this.answered ||= Boolean(result) || turn > 1 || choice !== this.first;
    this.find(".live-still").hidden = this.answered;
    const shown = run ?? result;
    const stage = this.find(".live-stage");
    stage.style.setProperty("--divider", `${divider}%`);
    this.input("divider").value = divider;
    stage.classList.toggle("live-faded", !shown);
    const box = this.find(".live-picture");
    if (shown || !isBusy)
      box.hidden = !shown || !(result || run.grows) || !this.answered;
    if (run && !run.grows) box.hidden = true;
    if (!(shown || !isBusy) || !this.changed("stage", shown)) return;
    const canvases = shown ? [shown.canvas.plain, shown.canvas.sr] : [];
    this.find(".live-canvases").replaceChildren(...canvases);
    if (!shown) return;
    stage.style.aspectRatio = `${shown.width} / ${shown.height}`;
    stage.style.maxWidth = `${Math.max(shown.width, 240)}px`;
  }

  score({ psnr, request }) {
    const line = this.find(".live-score");
    if (!psnr) {
      line.textContent =
        "There is no large picture to compare with, so there is no PSNR.";
      return;
    }
    const { plain, sr } = psnr;
    const [a, b, c] = [plain, sr, sr - plain].map((v) => v.toFixed(3));
    const { length } = request.off;
    line.innerHTML =
      `PSNR on luma: bicubic <b>${a} dB</b>, SRCNN ` +
      `<b>${b} dB</b> (${sr < plain ? "" : "+"}${c})`.replace("-", "−") +
      (length ? `; ${length} filters switched off` : "") +
      ".";
  }

  /* The window around the spot, in each of the pictures. */
  zoom({ result, spot: [x, y] }) {
    const SIZE = 32;
    const ZOOM = 6;
    const { width: W, height: H, canvas, truth, layers } = result;
    const left = Math.max(0, Math.min(W - SIZE, x - SIZE / 2));
    const top = Math.max(0, Math.min(H - SIZE, y - SIZE / 2));
    const border = layers.reduce((sum, l) => sum + (l.f >> 1), 0);
    const mark = this.find(".live-window").style;
    mark.left = `${(100 * left) / W}%`;
    mark.top = `${(100 * top) / H}%`;
    mark.width = `${(100 * Math.min(SIZE, W)) / W}%`;
    mark.height = `${(100 * Math.min(SIZE, H)) / H}%`;
    const views = [
      ["bicubic", (context) => context.drawImage(canvas.plain, -left, -top)],
      ["SRCNN", (context) => context.drawImage(canvas.sr, -left, -top)],
    ];
    if (truth)
      views.push([
        "the truth",
        (context) => drawPart(context, truth.rgba, W, left, top),
      ]);
    const zoom = this.find(".live-zoom");
    while (zoom.children.length < views.length)
      zoom.insertAdjacentHTML(
        "beforeend",
        `<figure style="max-width: ${SIZE * ZOOM}px">
           <div><canvas width="${SIZE}" height="${SIZE}" role="img"></canvas>
           <span class="live-field"></span></div><figcaption></figcaption></figure>`,
      );
    while (zoom.children.length > views.length) zoom.lastChild.remove();
    views.forEach(([title, draw], k) => {
      const figure = zoom.children[k];
      const target = figure.querySelector("canvas");
      const field = figure.querySelector(".live-field").style;
      field.left = `${(100 * (x - left - border)) / SIZE}%`;
      field.top = `${(100 * (y - top - border)) / SIZE}%`;
      field.width = field.height = `${(100 * (2 * border + 1)) / SIZE}%`;
      target.className = `live-view-${k}`;
      target.setAttribute("aria-label", `${title}, enlarged at ${x}, ${y}`);
      figure.querySelector("figcaption").textContent = title;
      const context = target.getContext("2d");
      context.clearRect(0, 0, SIZE, SIZE);
      draw(context);
    });

    /* What the window shows of bytes `width` wide; a picture may be narrower. */
    function drawPart(context, rgba, width, left, top) {
      const columns = Math.min(SIZE, width);
      const rows = Math.min(SIZE, H);
      const image = context.createImageData(columns, rows);
      for (let r = 0; r < rows; r++) {
        const from = 4 * ((top + r) * width + left);
        image.data.set(rgba.subarray(from, from + 4 * columns), 4 * r * columns);
      }
      context.putImageData(image, 0, 0);
    }
  }
}
