/**
 * Time in milliseconds, and timers. Tests pass a clock of their own.
 *
 * @typedef {object} Clock
 * @property {() => number} now
 * @property {(callback: () => void, milliseconds: number) => unknown} setTimeout
 * @property {(timer: unknown) => void} clearTimeout
 */

/** @type {Clock} */
export const systemClock = {
  now: () => performance.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (timer) => clearTimeout(/** @type {number | undefined} */ (timer)),
};

/**
 * @param {number} milliseconds
 * @param {Clock} clock
 * @returns {Promise<void>}
 */
export const sleep = (milliseconds, clock = systemClock) => new Promise((done) => clock.setTimeout(done, milliseconds));
