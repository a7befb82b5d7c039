// @ts-check
/** Shows whose page it is, or the ways to sign in; loaded only where the gateway asks who somebody is. */

import { SIGNED_IN, authorization, tokenInUse, useToken } from "./credentials.js";
import { addStyle, make, part, write } from "./page.js";
import { Session, whyNobody } from "./session.js";
import { clock } from "./time.js";
import { toast } from "./toast.js";

/** @typedef {ReturnType<typeof createIdentity>} Identity */

const READ = "orders:read";
const WRITE = "orders:write";
const PATIENCE_MS = 10_000;

export function createIdentity() {
  void addStyle("identity.css");
  const session = new Session({
    ask,
    alone: async (act) => await navigator.locks.request("orders-session", act),
    pause: (wait) => new Promise((go) => setTimeout(go, wait)),
    now: () => performance.now(),
  });
  const badge = createBadge(() => void signOut());
  const door = createDoor((token) => void tryToken(token));
  let wasSomebody = false;
  /** Settled as soon as somebody may read. @type {Promise<boolean> | null} */
  let waiting = null;
  /** @type {() => void} */
  let admit = () => {};

  /** Show who it is. @returns {boolean} whether the orders may be read */
  function show() {
    const { person, nobody } = session.who;
    const may = person === null ? nobody === null : person.scopes.includes(READ);
    document.documentElement.dataset.who = may ? "somebody" : "nobody";
    document.documentElement.toggleAttribute("data-reads-only", person !== null && !person.scopes.includes(WRITE));
    badge.show(person);
    if (may) door.close();
    else door.open(person === null ? whyNobody(nobody?.reason ?? "", wasSomebody) : noRight(person.name), nobody);
    wasSomebody ||= person !== null;
    if (may) admit();
    return may;
  }

  /** @param {string} token */
  async function tryToken(token) {
    useToken(token);
    await session.find(false);
    if (session.who.person === null) useToken(null);
    show();
  }

  async function settle() {
    const before = session.who.person;
    await session.find(tokenInUse() === null);
    if (session.who.person === null) useToken(null);
    if (show()) reloadUnlessLike(before);
    else await new Promise((/** @type {(value: void) => void} */ go) => (admit = go));
    return session.who.person !== null;
  }

  /** What was built already shows the rights from before. @param {import("./session.js").Person | null} before */
  function reloadUnlessLike(before) {
    const { person } = session.who;
    if (before && person && (before.subject !== person.subject || `${before.scopes}` !== `${person.scopes}`)) {
      location.reload();
    }
  }

  async function signOut() {
    if (tokenInUse() !== null) return location.reload();
    try {
      const address = await session.signOut();
      if (address !== null) return location.assign(address);
    } catch (error) {
      toast(/** @type {Error} */ (error).message);
    }
    await session.look();
    return void show();
  }

  /** Somebody may have signed in, or out, in another page of this browser. */
  async function lookAgain() {
    if (document.hidden || tokenInUse() !== null) return;
    const before = session.who.person;
    await session.find();
    const { person } = session.who;
    if (person !== null && person.subject !== before?.subject) location.reload();
    else show();
  }

  document.addEventListener("visibilitychange", lookAgain);
  // The gateway closes the streams of a session before the browser gets the answer that takes its cookies away: one who
  // asks in between is told of a session that was withdrawn. Where a browser has no such API, a page looks when it is shown.
  window.cookieStore?.addEventListener("change", ({ changed, deleted }) => {
    if ([...changed, ...deleted].some(({ name }) => name === SIGNED_IN)) void lookAgain();
  });

  return {
    /** Ask who it is, and show it. */
    async look() {
      await session.find();
      show();
    },
    /** Whose session it is, with which rights; null: a token's, which is this page's alone, or nobody's. */
    audience() {
      const { person } = session.who;
      return person === null || tokenInUse() !== null ? null : JSON.stringify([person.subject, ...person.scopes]);
    },
    /** Renew the session or else wait until somebody signs in. @returns {Promise<boolean>} false: there is no sign-in */
    refused() {
      waiting ??= settle().finally(() => {
        waiting = null;
      });
      return waiting;
    },
    /** Renew the session that is about to end, or say that it ends. @returns {Promise<boolean>} whether it was renewed */
    async expiring() {
      const before = session.who.person ?? (await session.look()).person;
      if (before?.renewable && (await session.renew())) {
        reloadUnlessLike(before);
        return true;
      }
      badge.warn(before?.expiresAt ?? null);
      return false;
    },
  };
}

/** @param {string} name */
function noRight(name) {
  return `${name}, you have no right to see orders. Ask for it, or sign in as somebody else.`;
}

/** @param {string} method @param {string} path @returns {Promise<import("./session.js").Answer>} */
async function ask(method, path) {
  try {
    const options = { method, headers: authorization(), signal: AbortSignal.timeout(PATIENCE_MS) };
    const response = await fetch(path, { ...options, cache: "no-store" });
    return { status: response.status, body: await response.json().catch(() => null) };
  } catch {
    return { status: 0, body: null };
  }
}

/** The name in the masthead, and the way out. @param {() => void} signOut */
function createBadge(signOut) {
  const root = make("div", "who");
  const name = root.appendChild(make("span", "who-name"));
  const end = root.appendChild(make("span", "who-end"));
  end.role = "status";
  const out = root.appendChild(make("button", "button", "Sign out"));
  out.type = "button";
  out.addEventListener("click", signOut);
  part("indicator", HTMLElement).before(root);
  return {
    /** @param {import("./session.js").Person | null} person */
    show(person) {
      root.hidden = person === null;
      write(name, person?.name ?? "");
      write(end, "");
    },
    /** @param {number | null} at */
    warn(at) {
      if (at !== null) write(end, `until ${clock(at)}`);
    },
  };
}

/** The card in place of the orders. @param {(token: string) => void} tryToken */
function createDoor(tryToken) {
  const root = make("section", "card sign-in");
  root.setAttribute("aria-labelledby", "sign-in-title");
  const title = root.appendChild(make("h2", "", "Sign in"));
  title.id = "sign-in-title";
  const why = root.appendChild(make("p", "sign-in-why"));
  why.role = "status";
  const go = root.appendChild(make("a", "button button-primary sign-in-go", "Sign in"));
  const form = root.appendChild(tokenForm(tryToken));
  const orders = part("orders", HTMLElement);
  root.hidden = true;
  orders.before(root);
  return {
    /** @param {string} reason @param {import("./session.js").Nobody | null} nobody */
    open(reason, nobody) {
      root.hidden = false;
      write(why, reason);
      const signIn = nobody === null ? "/auth/sign-in" : nobody.signIn;
      go.hidden = signIn === null;
      form.hidden = signIn !== null;
      go.href = `${signIn}?${new URLSearchParams({ to: location.pathname + location.search })}`;
    },
    close() {
      root.hidden = true;
    },
  };
}

/** @param {(token: string) => void} tryToken */
function tokenForm(tryToken) {
  const form = make("form", "sign-in-token");
  const label = form.appendChild(make("label", "", "Token"));
  const input = form.appendChild(make("input"));
  input.type = "password";
  input.autocomplete = "off";
  input.required = true;
  input.id = label.htmlFor = "sign-in-token";
  form.append(make("button", "button button-primary", "Use it"));
  const advice = form.appendChild(make("p", "muted", "It is kept until you leave the page. After "));
  const command = make("code", "", 'make token SUB=ada SCOPE="orders:read orders:write"');
  advice.append(make("code", "", "AUTH=jwt make run"), ", this prints one: ", command);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tryToken(input.value.trim());
    input.value = "";
  });
  return form;
}
