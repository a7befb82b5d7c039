// @ts-check
/** Whose page this is, for how long, and how that is renewed: what the gateway says of it, without a word of the page. */

/** @typedef {{ subject: string, name: string, scopes: string[], expiresAt: number | null,
 *             expiresIn: number, renewable: boolean }} Person */
/** `signIn` is where to sign in, null where that is done by a token. @typedef {{ reason: string, signIn: string | null }} Nobody */
/** @typedef {{ person: Person | null, nobody: Nobody | null }} Who */
/** @typedef {{ status: number, body: any }} Answer `status` 0: there was none */
/**
 * @typedef {{
 *   ask: (method: string, path: string) => Promise<Answer>,
 *   alone: <T>(act: () => Promise<T>) => Promise<T>,
 *   pause: (milliseconds: number) => Promise<void>,
 *   now: () => number,
 * }} Parts `alone`: no other page of this browser does it at the same time; `now`: milliseconds, of a clock that nobody sets
 */

const SESSION = "/auth/session";
const EXPIRED = "token_expired";
const RETRY_MS = 2000;
/** More than this remains of a session that another page has just renewed: the gateway warns a minute before its end. */
const FRESH_SECONDS = 75;
/** A session that is to be renewed again so soon cannot be kept up. */
const LEAST_MS = 20_000;

export class Session {
  /** @type {Who} */
  who = { person: null, nobody: null };
  #parts;
  /** @type {Promise<boolean> | null} */
  #renewing = null;
  #renewedAt = -Infinity;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /**
   * Ask the gateway who it is, and renew a session that has ended.
   * @param {boolean} [byCookie] false: it is a token that says who it is, and nothing renews it
   */
  async find(byCookie = true) {
    const { nobody } = await this.look();
    if (byCookie && nobody?.reason === EXPIRED) await this.renew();
  }

  /** Ask the gateway who it is, until it answers. @returns {Promise<Who>} */
  async look() {
    for (;;) {
      const { status, body } = await this.#parts.ask("GET", SESSION);
      if (status === 200) return (this.who = { person: personIn(body), nobody: null });
      if (status === 401 || status === 403) return (this.who = { person: null, nobody: nobodyIn(body) });
      if (status === 404) return (this.who = { person: null, nobody: null }); // there is no sign-in any more
      await this.#parts.pause(RETRY_MS);
    }
  }

  /** Renew the session; all who ask meanwhile share it. @returns {Promise<boolean>} whether it lasts for longer now */
  renew() {
    this.#renewing ??= this.#parts
      .alone(() => this.#renew())
      .finally(() => {
        this.#renewing = null;
      });
    return this.#renewing;
  }

  async #renew() {
    const { person } = await this.look();
    // Another page of this browser was faster: a refresh token is good once only.
    if (person !== null && person.expiresIn > FRESH_SECONDS) return true;
    if (this.#parts.now() - this.#renewedAt < LEAST_MS) return false;
    const { status, body } = await this.#parts.ask("POST", "/auth/renew");
    if (status !== 200) return false;
    this.#renewedAt = this.#parts.now();
    this.who = { person: personIn(body), nobody: null };
    return true;
  }

  /** Sign out. @returns {Promise<string | null>} where to sign out at the provider as well; throws an Error in words */
  async signOut() {
    const { status, body } = await this.#parts.ask("POST", "/auth/sign-out");
    if (status === 200) return body?.continue_at ?? null;
    if (status === 401) return null; // nobody is signed in any more
    throw new Error(body?.detail ?? "The server does not answer. Try again.");
  }
}

/** @param {any} body @returns {Person} */
function personIn(body) {
  const expiresAt = Date.parse(body?.expires_at ?? "");
  return {
    subject: String(body?.subject),
    name: String(body?.name),
    scopes: Array.isArray(body?.scopes) ? body.scopes.map(String) : [],
    expiresAt: Number.isNaN(expiresAt) ? null : expiresAt,
    expiresIn: typeof body?.expires_in === "number" ? body.expires_in : Infinity,
    renewable: body?.renewable === true,
  };
}

/** @param {any} body @returns {Nobody} */
function nobodyIn(body) {
  return { reason: String(body?.reason ?? ""), signIn: typeof body?.sign_in === "string" ? body.sign_in : null };
}

/**
 * Why nobody is signed in, for a person.
 * @param {string} reason
 * @param {boolean} wasSomebody whether this page had a session
 */
export function whyNobody(reason, wasSomebody) {
  const words = new Map([
    ["token_missing", wasSomebody ? "You have signed out." : "Sign in to see the orders."],
    [EXPIRED, "Your session has ended."],
    ["session_ended", "The sign-in service has ended your session."],
    ["token_revoked", "You were signed out, or your access was withdrawn."],
    ["token_not_yet_valid", "This token is not valid yet."],
  ]);
  return words.get(reason) ?? "This session or token is not valid here.";
}
