/**
 * A clock that moves only when a test says so. Timers run in the order in which they are due, and so do promises that
 * wait for them.
 */
export class FakeClock {
  #now = 0;
  #nextTimer = 1;
  #timers = new Map();

  now = () => this.#now;

  setTimeout = (callback, milliseconds) => {
    this.#timers.set(this.#nextTimer, { callback, at: this.#now + milliseconds });
    return this.#nextTimer++;
  };

  clearTimeout = (timer) => {
    this.#timers.delete(timer);
  };

  /** How many timers wait. */
  get pending() {
    return this.#timers.size;
  }

  /** Let time pass, and run what is due meanwhile. */
  async advance(milliseconds) {
    const end = this.#now + milliseconds;
    await settle();
    for (;;) {
      const [timer, due] = [...this.#timers].sort(([, one], [, other]) => one.at - other.at)[0] ?? [];
      if (due === undefined || due.at > end) break;
      this.#timers.delete(timer);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
      await settle();
    }
    this.#now = end;
  }
}

/** Let promises that are resolved run what waits for them. */
export const settle = () => new Promise((done) => setImmediate(done));
