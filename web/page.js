// @ts-check
/** The parts of the page by their ids, and small pieces of new ones; text goes in as text, never as markup. */

/**
 * Find an element of index.html.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function part(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`index.html has no ${type.name} with the id ${id}`);
  return found;
}

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/**
 * Load a style sheet of a part that is not shown at first.
 * @param {string} href
 * @returns {Promise<void>} settled once it applies, or cannot be had
 */
export function addStyle(href) {
  const style = make("link");
  style.rel = "stylesheet";
  style.href = href;
  document.head.append(style);
  return new Promise((go) => {
    style.addEventListener("load", () => go());
    style.addEventListener("error", () => go());
  });
}

/**
 * Change a text only if it differs, so that an unchanged one is neither painted nor read out again.
 * @param {Node} node
 * @param {string} text
 */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Hide an element or show it, only if that is a change: the attribute, set again, has the element styled again.
 * @param {HTMLElement} element
 * @param {boolean} hidden
 */
export function hide(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/**
 * Coalesce calls into one at the next frame (or a second later while no frames are painted).
 * @param {() => void} act
 * @returns {(() => void) & { now: () => void }} `now` does not wait for the frame
 */
export function oncePerFrame(act) {
  let due = false;
  let frame = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const run = () => {
    // What is left waiting would do the next one's work before its frame, and have the page laid out twice.
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    due = false;
    act();
  };
  const soon = () => {
    if (due) return;
    due = true;
    frame = requestAnimationFrame(run);
    timer = setTimeout(run, 1000);
  };
  return Object.assign(soon, { now: run });
}
