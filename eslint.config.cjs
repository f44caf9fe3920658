// The scripts of the network in the page share one global scope.
const js = require("@eslint/js");
const globals = require("globals");

const OURS =
  "srcnnEngine SrcnnPool srcnnState srcnnFiles srcnnHeader srcnnPng SrcnnInspect " +
  "srcnnNumber srcnnTrace srcnnPaint SrcnnView srcnnRows srcnnModcrop srcnnWithout";
const shared = Object.fromEntries(OURS.split(" ").map((name) => [name, "readonly"]));

module.exports = [
  js.configs.recommended,
  {
    files: ["book/_static/live/*.js"],
    languageOptions: {
      sourceType: "script",
      globals: { ...globals.browser, ...shared },
    },
    rules: {
      "no-redeclare": ["error", { builtinGlobals: false }],
      "no-unused-vars": ["error", { varsIgnorePattern: "^[sS]rcnn" }],
      "prefer-const": "error",
      eqeqeq: "error",
    },
  },
  {
    files: ["tests/live/*.js", "eslint.config.cjs"],
    languageOptions: { sourceType: "commonjs", globals: globals.node },
  },
];
