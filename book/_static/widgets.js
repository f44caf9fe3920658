/* Adds to the figures of srcnn_lib/widgets.py what moves them; asks no server. */

"use strict";

/* A new element of these properties; names with a dash become attributes. */
function srcnnNew(tag, properties = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  return made;
}

/* A divider between two pictures; with more than two, menus that choose them. */
function srcnnCompare(figure) {
  const pictures = [...figure.querySelectorAll(".picture")];
  const nameOf = (picture) => picture.querySelector(".name").textContent;
  const at = (side) => pictures.find((picture) => picture.dataset.side === side);
  const slider = srcnnNew("input", {
    type: "range",
    "aria-label": "Divider between the left and the right picture",
  });
  const update = () => {
    figure.style.setProperty("--at", `${slider.value}%`);
    const text = `${slider.value} % ${nameOf(at("left"))}`;
    slider.setAttribute("aria-valuetext", text);
  };
  const menus = ["left", "right"].map((side, k) => {
    pictures[k].dataset.side = side;
    const menu = srcnnNew("select");
    pictures.forEach((picture, i) => menu.add(new Option(nameOf(picture), i)));
    menu.value = k;
    menu.addEventListener("change", () => {
      const former = at(side), chosen = pictures[menu.value];
      const other = chosen.dataset.side;
      delete former.dataset.side;
      if (other) former.dataset.side = other; // the two exchange their places
      chosen.dataset.side = side;
      menus.forEach((one, i) => { one.value = pictures.indexOf(at(["left", "right"][i])); });
      update();
    });
    return menu;
  });
  slider.addEventListener("input", update);
  figure.querySelector(".pair").append(slider, srcnnNew("div", { className: "line" }));
  if (pictures.length > 2) {
    const row = srcnnNew("div", { className: "menus" });
    ["Left ", "Right "].forEach((title, k) => {
      const label = srcnnNew("label");
      label.append(title, menus[k]);
      row.append(label);
    });
    figure.querySelector("figcaption").before(row);
  }
  const how = " Drag the line, or press Tab and the arrow keys.";
  figure.querySelector("figcaption").append(
    srcnnNew("span", { className: "how", textContent: how }),
  );
  figure.classList.add("moves");
  update();
}

/* Pictures under a slider, and a button that plays them. */
function srcnnFrames(figure) {
  const { name, first, frames } = JSON.parse(figure.querySelector("script").textContent);
  const [image, text] = [figure.querySelector("img"), figure.querySelector("p")];
  const last = frames.length - 1;
  const slider = srcnnNew("input", {
    type: "range", max: last, value: first, "aria-label": name,
  });
  const button = srcnnNew("button", { type: "button", textContent: "Play" });
  const output = srcnnNew("output");
  let timer = null;
  const show = (k) => {
    slider.value = k;
    [output.textContent, image.src] = frames[k];
    slider.setAttribute("aria-valuetext", frames[k][0]);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  slider.addEventListener("input", () => { stop(); show(+slider.value); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "Stop";
    if (+slider.value === last) show(0);
    timer = setInterval(() => {
      if (+slider.value === last) stop();
      else show(+slider.value + 1);
    }, 700);
  });
  const controls = srcnnNew("div", { className: "controls" });
  controls.append(slider, button);
  text.replaceChildren(`${name}: `, output);
  text.after(controls);
  show(first);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".srcnn-compare").forEach(srcnnCompare);
  document.querySelectorAll(".srcnn-frames").forEach(srcnnFrames);
});
