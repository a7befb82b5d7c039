// @ts-check
/** Whether the user is at work in an area, by pointer, finger or keyboard, so that nothing may move there. */

export class Hold {
  #area;
  #pointer = false;
  #finger = false;
  #focus = false;
  /** Focus left behind by a pointer does not count: the pointer itself tells where the user is. */
  #focusByPointer = false;
  #pressed = false;
  #released;
  #was = false;

  /**
   * @param {HTMLElement} area
   * @param {() => void} released everybody has left
   */
  constructor(area, released) {
    this.#area = area;
    this.#released = released;
    this.#followPointer();
    this.#followFocus();
  }

  get active() {
    return this.#pointer || this.#finger || (this.#focus && !this.#focusByPointer);
  }

  #followPointer() {
    const area = this.#area;
    area.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "touch") this.#change(() => (this.#pointer = true));
    });
    // Also when the page was opened under a pointer that was there before.
    area.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") this.#change(() => (this.#pointer = true));
    });
    area.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") this.#change(() => (this.#pointer = false));
    });
    // Between two touches a finger has no place: it has left once it touches something else.
    document.addEventListener("pointerdown", (event) => {
      const inside = event.target instanceof Node && area.contains(event.target);
      this.#pressed = inside;
      this.#change(() => (this.#finger = inside && event.pointerType === "touch"));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      document.addEventListener(end, () => (this.#pressed = false));
    }
  }

  #followFocus() {
    const area = this.#area;
    area.addEventListener("focusin", (event) => {
      const moved = event.relatedTarget instanceof Node && area.contains(event.relatedTarget);
      this.#change(() => {
        this.#focus = true;
        if (this.#pressed) this.#focusByPointer = true;
        else if (!moved) this.#focusByPointer = false;
      });
    });
    area.addEventListener("focusout", (event) => {
      const stays = event.relatedTarget instanceof Node && area.contains(event.relatedTarget);
      if (!stays) this.#change(() => (this.#focus = false));
    });
    area.addEventListener("keydown", () => this.#change(() => (this.#focusByPointer = false)));
  }

  /** @param {() => void} act */
  #change(act) {
    act();
    const was = this.#was;
    this.#was = this.active;
    if (was && !this.#was) this.#released();
  }
}
