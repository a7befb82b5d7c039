// @ts-check
/** Parses a stream of Server-Sent Events as the HTML standard defines it. */

/** `data` is empty where a heartbeat only moves the id. @typedef {{ name: string, data: string, id: string | null }} RawEvent */

const LONGEST_EVENT = 32 * 1024 * 1024; // characters; an order may have 16 MiB, and its JSON more

export class EventParser {
  #hasBegun = false;
  #rest = "";
  #name = "";
  /** @type {string[]} */
  #data = [];
  #size = 0;
  /** @type {string | null} */
  #id = null;
  /** The server's wish for how long to wait before the next connection, in milliseconds. */
  retry = 0;

  /**
   * The events that end in this piece.
   * @param {string} piece
   * @returns {Generator<RawEvent>}
   */
  *feed(piece) {
    const text = this.#hasBegun ? piece : piece.replace(/^\uFEFF/, "");
    this.#hasBegun ||= piece !== "";
    // A piece may end between CR and LF: the LF alone would be an empty line.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    if (this.#size + this.#rest.length > LONGEST_EVENT) throw new RangeError("the server sent an endless event");
    for (const line of lines) {
      const event = line === "" ? this.#finish() : this.#take(line);
      if (event) yield event;
    }
  }

  /** @param {string} line @returns {null} */
  #take(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    this.#size += line.length;
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#name = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return null;
  }

  #finish() {
    const event = { name: this.#name || "message", data: this.#data.join("\n"), id: this.#id };
    const isWorthIt = this.#data.length > 0 || this.#id !== null;
    this.#name = "";
    this.#data = [];
    this.#id = null;
    this.#size = 0;
    return isWorthIt ? event : null;
  }
}
