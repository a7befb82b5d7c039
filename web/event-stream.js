// @ts-check
/** Parses the text format of Server-Sent Events (the HTML standard's section 9.2) from pieces. */

/**
 * `event` is called for each event, `mark` for a block that only moves the last event id, `retry` when the server sets the
 * reconnection delay.
 * @typedef {{
 *   event(name: string, data: string): void,
 *   mark(id: string): void,
 *   retry(milliseconds: number): void,
 * }} Handlers
 */

/** A longer line is no event of ours. */
const LONGEST_LINE = 32 * 1024 * 1024;

export class EventStreamParser {
  #heard;
  #line = "";
  #afterReturn = false;
  #begun = false;
  #name = "";
  /** @type {string[]} */
  #data = [];
  /** @type {string | null} */
  #id = null;

  /** @param {Handlers} heard */
  constructor(heard) {
    this.#heard = heard;
  }

  /** @param {string} text */
  feed(text) {
    let rest = text;
    if (!this.#begun && rest.startsWith("\uFEFF")) rest = rest.slice(1);
    this.#begun ||= text !== "";
    if (this.#afterReturn && text !== "") {
      if (rest.startsWith("\n")) rest = rest.slice(1); // the other half of a CRLF that was cut in two
      this.#afterReturn = false;
    }
    if (rest !== "") this.#afterReturn = rest.endsWith("\r");
    const lines = (this.#line + rest).split(/\r\n|\n|\r/);
    this.#line = lines.pop() ?? "";
    if (this.#line.length > LONGEST_LINE) throw new Error("a line of the event stream has no end");
    for (const line of lines) this.#read(line);
  }

  /** @param {string} line */
  #read(line) {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") this.#name = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d{1,9}$/.test(value)) this.#heard.retry(Number(value));
  }

  #dispatch() {
    const [name, data, id] = [this.#name, this.#data, this.#id];
    this.#name = "";
    this.#data = [];
    this.#id = null;
    if (data.length > 0) this.#heard.event(name || "message", data.join("\n"));
    else if (id) this.#heard.mark(id);
  }
}
