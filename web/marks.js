// @ts-check
/** Where the list can be entered: places that were passed while scrolling, each with the number of orders above it. */

/** @typedef {import("./ordering.js").Rank} Rank */
/**
 * `from`: the server's word for the place below which to read: an ObjectId, or a mark of a sorted list, whose `place` is then
 * known here too.
 * @typedef {{ above: number, from: string, place: Rank | null }} Mark
 */

/** Beyond that every other one is forgotten: those that are left lead there too, by a longer way. */
const MOST = 1000;

export class Marks {
  /** @type {Mark[]} from the top down */
  #marks = [];

  /** @param {Mark} mark */
  add(mark) {
    const others = this.#marks.filter(({ from, above }) => from !== mark.from && above !== mark.above);
    const index = others.findLastIndex(({ above }) => above < mark.above) + 1;
    this.#marks = others.toSpliced(index, 0, mark);
    if (this.#marks.length > MOST) this.#marks = this.#marks.filter((_, number) => number % 2 === 1);
  }

  /** The nearest mark with at most so many orders above it; null: the top of the list. @param {number} above @returns {Mark | null} */
  before(above) {
    return this.#marks.findLast((mark) => mark.above <= above) ?? null;
  }

  /** The one that the server calls so. @param {string} from */
  at(from) {
    return this.#marks.find((mark) => mark.from === from) ?? null;
  }

  /** @returns {readonly Mark[]} */
  get all() {
    return this.#marks;
  }

  clear() {
    this.#marks = [];
  }
}
