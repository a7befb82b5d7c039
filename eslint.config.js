// Which mistakes `make check` looks for in web/ and in the JavaScript of the tests.
import js from "@eslint/js";
import globals from "globals";

// Text of others reaches the page by textContent only: each of these would make markup, or code, of it.
const MARKUP_FROM_TEXT = ["innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc"].map((property) => ({
  property,
  message: "Use textContent or build elements: an order's text must never become markup.",
}));

export default [
  { ignores: ["node_modules/", ".venv/", ".data/", "bench/peers/"] },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      "consistent-return": "error",
      eqeqeq: "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-restricted-properties": ["error", ...MARKUP_FROM_TEXT],
      "no-shadow": "error",
      "no-throw-literal": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
    },
  },
  { files: ["web/**/*.js", "clients/js/examples/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["clients/js/src/*.js"], languageOptions: { globals: globals["shared-node-browser"] } },
  { files: ["tests/**/*.{js,mjs,cjs}", "deploy/**/*.mjs"], languageOptions: { globals: globals.node } },
];
