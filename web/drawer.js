// @ts-check
/** The drawer: one order whole, live while it is open, to be changed in place, with its history below. */

import { createEditor } from "./drawer-editor.js";
import { createFields } from "./drawer-fields.js";
import { createHistory } from "./drawer-history.js";
import { isOlder } from "./envelope.js";
import { nameOf, shortId } from "./order.js";
import { addStyle, make, write } from "./page.js";
import { clock, keepTimes } from "./time.js";

/** @typedef {import("./order.js").Order} Order */
/** @typedef {ReturnType<typeof createDrawer>} Drawer */
/** An order as of a position. @typedef {{ order: Order, cursor: string | null }} Version */
/**
 * `goTo` takes the focus to the order's row.
 * @typedef {{
 *   store: import("./store.js").OrderStore,
 *   change: import("./drawer-editor.js").ChangeOrder,
 *   fetchOrder: (id: string) => ReturnType<typeof import("./api.js").getOrder>,
 *   fetchHistory: (id: string, before: string | null) => Promise<import("./api.js").Past>,
 *   goTo: (id: string) => void,
 * }} Parts
 */

/** On a narrower screen the drawer covers everything else. */
const COVERS = matchMedia("(width < 40rem)");

const NOT_HERE = "This order was deleted, or you may not see it any more.";

/** @param {Parts} parts */
export function createDrawer({ store, change, fetchOrder, fetchHistory, goTo }) {
  const styled = addStyle("drawer.css");
  const dialog = make("dialog", "drawer");
  dialog.id = "drawer";
  dialog.setAttribute("aria-labelledby", "drawer-title");
  const head = dialog.appendChild(make("div", "drawer-head"));
  const title = head.appendChild(make("h2"));
  title.id = "drawer-title";
  title.dir = "auto";
  title.tabIndex = -1;
  title.autofocus = true;
  const shut = head.appendChild(make("button", "button", "Close"));
  shut.type = "button";
  const note = dialog.appendChild(make("p", "drawer-note"));
  note.role = "status";
  const fields = createFields();
  const edit = make("button", "button drawer-edit", "Edit");
  edit.type = "button";
  const editor = createEditor({ change, fetchOrder, ended });
  const history = createHistory(fetchHistory);
  dialog.append(fields.element, edit, editor.element, history.element);
  document.body.append(dialog);
  keepTimes(dialog);

  /** @type {string | null} */
  let id = null;
  /** @type {Version | null} */
  let shown = null;
  let gone = false;
  /** Counts what has been asked for: an answer to something older is not shown. */
  let asked = 0;
  /** @type {HTMLElement | null} */
  let opener = null;

  /** @param {Version} version */
  function show(version) {
    shown = version;
    if (gone) write(note, "");
    gone = false;
    write(title, nameOf(version.order) || `Order ${shortId(id ?? "")}`);
    fields.show(version.order);
    editor.meanwhile(version.order);
    refresh();
  }

  function refresh() {
    edit.hidden = editor.editing || gone || shown === null;
    dialog.toggleAttribute("data-gone", gone);
  }

  /** @param {string} words */
  function lose(words) {
    gone = true;
    write(note, words);
    const wasInside = editor.element.contains(document.activeElement);
    editor.stop();
    refresh();
    if (wasInside) title.focus();
  }

  /** Fetch the order; what is older than what is shown is not shown. */
  async function read() {
    if (id === null) return;
    const mine = ++asked;
    try {
      const { order, cursor } = await fetchOrder(id);
      if (mine !== asked) return;
      if (order === null) lose(NOT_HERE);
      else if (!isOlderThanShown(cursor)) show({ order, cursor });
    } catch (error) {
      if (mine === asked) write(note, /** @type {Error} */ (error).message);
    }
  }

  /** @param {string | null} cursor */
  function isOlderThanShown(cursor) {
    if (cursor === null || !shown?.cursor) return false;
    const at = (/** @type {string} */ text) => /** @type {import("./envelope.js").Envelope} */ ({ cursor: text });
    return isOlder(at(cursor), at(shown.cursor));
  }

  /** @param {import("./envelope.js").Envelope} envelope */
  function heard({ operation, data, cursor, at, left }) {
    history.refresh(); // whatever is shown: an answer may have been newer than this, which its history was read before
    if (isOlderThanShown(cursor)) return;
    write(note, "");
    if (operation === "DELETE" && !left) {
      asked += 1;
      if (shown) shown.cursor = cursor;
      lose(`This order was deleted at ${clock(Date.parse(at))}.`);
    } else if (left || data === null) {
      if (left)
        write(note, "It no longer matches the filter: what changes from now on is shown when it is opened again.");
      void read();
    } else {
      asked += 1; // what was asked for before may be older
      show({ order: data, cursor });
    }
  }

  store.listen((event) => {
    if (id === null || event.kind === "fill") return;
    if (event.kind === "change") {
      if (event.envelope.id === id) heard(event.envelope);
      return;
    }
    void read(); // another list has come: changes may have been missed
    history.refresh();
  });

  /** The editor has ended, and the order has these values now. @param {Order | null} written */
  function ended(written) {
    refresh();
    if (!gone && !edit.checkVisibility()) title.focus();
    else edit.focus();
    if (written === null || shown === null || gone) return;
    fields.show({ ...shown.order, ...written });
    void read();
  }

  edit.addEventListener("click", async () => {
    if (id === null || "readsOnly" in document.documentElement.dataset || edit.ariaBusy === "true") return;
    const whose = id;
    edit.ariaBusy = "true";
    try {
      const { order, cursor, etag } = await fetchOrder(whose);
      if (whose !== id) return;
      if (order === null) {
        lose(NOT_HERE);
        return;
      }
      if (!isOlderThanShown(cursor)) show({ order, cursor });
      editor.start(whose, order, etag);
      refresh();
    } catch (error) {
      if (whose === id) write(note, /** @type {Error} */ (error).message);
    } finally {
      edit.ariaBusy = null;
    }
  });

  function cover() {
    const covered = id !== null && COVERS.matches;
    for (const each of document.querySelectorAll("body > main, body > .masthead, body > .skip")) {
      if (each instanceof HTMLElement) each.inert = covered;
    }
  }

  function close() {
    if (id === null) return;
    const was = id;
    id = null;
    asked += 1;
    editor.stop();
    history.close();
    dialog.close();
    cover();
    // Its row may have been made anew meanwhile, or not be there.
    if (opener?.isConnected && !opener.closest("[inert]")) opener.focus({ preventScroll: true });
    else goTo(was);
    opener = null;
  }

  shut.addEventListener("click", close);
  COVERS.addEventListener("change", cover);
  document.addEventListener("keydown", (event) => {
    const here = event.target === document.body || (event.target instanceof Node && dialog.contains(event.target));
    if (event.key !== "Escape" || id === null || !here || event.defaultPrevented) return;
    event.preventDefault();
    if (editor.editing) editor.cancel();
    else close();
  });

  return {
    /** @param {string} order @param {HTMLElement} from what the focus returns to */
    async open(order, from) {
      await styled;
      if (id !== null && editor.editing && id !== order) {
        editor.urge();
        return;
      }
      opener = from;
      if (id === order) {
        title.focus();
        return;
      }
      id = order;
      asked += 1;
      shown = null;
      gone = false;
      editor.stop();
      write(note, "");
      write(title, `Order ${shortId(order)}`);
      fields.clear(order);
      const known = store.get(order);
      // The list may be newer than any one cursor tells: only what is read from now on has a position.
      if (known) show({ order: known, cursor: null });
      refresh();
      if (!dialog.open) dialog.show();
      cover();
      title.focus();
      dialog.scrollTop = 0;
      history.open(order);
      void read();
    },
    close,
  };
}
