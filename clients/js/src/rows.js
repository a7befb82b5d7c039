// @ts-check
/** The orders by their ids: those of the copy, and over them our own writes that it does not yet show. */

/** @typedef {import("./copy-state.js").Order} Order */

/** A view onto the copy, with the reading half of a Map: it always shows the present. */
export class Rows {
  #rows;
  #written;

  /**
   * @param {() => ReadonlyMap<string, Order>} rows
   * @param {() => ReadonlyMap<string, Order | null>} written null: deleted
   */
  constructor(rows, written) {
    this.#rows = rows;
    this.#written = written;
  }

  /** @param {string} id @returns {Order | undefined} */
  get(id) {
    const order = this.#written().get(id);
    return order === undefined ? this.#rows().get(id) : (order ?? undefined);
  }

  /** @param {string} id */
  has(id) {
    return this.get(id) !== undefined;
  }

  get size() {
    let size = this.#rows().size;
    for (const [id, order] of this.#written()) size += Number(order !== null) - Number(this.#rows().has(id));
    return size;
  }

  /** @returns {IterableIterator<[string, Order]>} */
  *entries() {
    const written = this.#written();
    for (const [id, order] of this.#rows()) {
      const shown = written.get(id);
      if (shown !== null) yield [id, shown ?? order];
    }
    for (const [id, order] of written) if (order !== null && !this.#rows().has(id)) yield [id, order];
  }

  *keys() {
    for (const [id] of this.entries()) yield id;
  }

  *values() {
    for (const [, order] of this.entries()) yield order;
  }

  /** @param {(order: Order, id: string) => void} call */
  forEach(call) {
    for (const [id, order] of this.entries()) call(order, id);
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}
