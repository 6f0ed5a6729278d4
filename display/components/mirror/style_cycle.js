/**
 * When the styles of a mirror change, in milliseconds.
 *
 * @typedef {object} CycleTimes
 * @property {number} rotateEvery until the next style; 0 if none comes by itself
 * @property {number} fadeFor for which two styles are blended
 * @property {number} holdFor for which a chosen style stays
 */

// Shares of all styles in a message; see `display/mirror/frame_route.py`.
const WHOLE = 255;

/** Which style a mirror paints in, and how two of them are blended when it changes. Times are those of one clock, in milliseconds. */
export class StyleCycle {
  #index;
  /** @type {number[]} shares of the styles, with a sum of 1, from which the fade began */
  #from;
  #fadeStart = -Infinity;
  /** When the next style comes by itself. */
  #changeAt;

  /**
   * @param {number} count
   * @param {CycleTimes} times
   * @param {number} now
   * @param {number} first index of the first style
   */
  constructor(count, times, now, first = 0) {
    this.count = count;
    this.times = times;
    this.#index = first;
    this.#from = this.#alone(first);
    this.#changeAt = this.#next(now, times.rotateEvery);
  }

  /** The style that is shown, or faded to. */
  get index() {
    return this.#index;
  }

  /**
   * Change to a style before or after this one; it stays for a while.
   *
   * @param {number} step
   * @param {number} now
   */
  choose(step, now) {
    this.#fadeTo((this.#index + step + this.count) % this.count, now);
    this.#changeAt = this.#next(now, Math.max(this.times.holdFor, this.times.rotateEvery));
  }

  /**
   * Let the cycle run. Return the share of each style, as bytes.
   *
   * @param {number} now
   */
  advance(now) {
    if (now >= this.#changeAt) {
      this.#fadeTo((this.#index + 1) % this.count, now);
      this.#changeAt = this.#next(now, this.times.rotateEvery);
    }
    return Uint8Array.from(this.#blend(now), (share) => Math.round(WHOLE * share));
  }

  /**
   * @param {number} now
   * @param {number} delay
   */
  #next(now, delay) {
    return this.times.rotateEvery > 0 ? now + delay : Infinity;
  }

  /**
   * @param {number} index
   * @param {number} now
   */
  #fadeTo(index, now) {
    this.#from = this.#blend(now);
    this.#fadeStart = now;
    this.#index = index;
  }

  /** @param {number} now */
  #blend(now) {
    const part = this.times.fadeFor > 0 ? Math.min(1, (now - this.#fadeStart) / this.times.fadeFor) : 1;
    const eased = part * part * (3 - 2 * part); // begins and ends slowly
    return this.#alone(this.#index).map((share, style) => (1 - eased) * this.#from[style] + eased * share);
  }

  /** @param {number} index */
  #alone(index) {
    return Array.from({ length: this.count }, (_, style) => Number(style === index));
  }
}

// Milliseconds that each style stays, at least: a shorter time is all fades.
const MIN_INTERVAL = 1_500;

/**
 * Return the milliseconds that a link gives each style; 0 if none is to change by itself.
 *
 * @param {string | null} text seconds
 * @param {number} usual milliseconds, if the text is no such number
 */
export function readInterval(text, usual) {
  const seconds = Number.parseFloat(text ?? "");
  if (!(seconds >= 0)) return usual;
  return seconds && Math.max(1000 * seconds, MIN_INTERVAL);
}

/**
 * Return the index of the style that a link names, as “Vincent van Gogh”, `vincent-van-gogh` or `gogh`; -1 if there is none.
 *
 * @param {string[]} styles
 * @param {string} name
 */
export function findStyle(styles, name) {
  const wanted = toSlug(name);
  const slugs = styles.map(toSlug);
  const exact = slugs.indexOf(wanted);
  return exact >= 0 || !wanted ? exact : slugs.findIndex((slug) => slug.endsWith(`-${wanted}`));
}

/** @param {string} name */
const toSlug = (name) =>
  name
    .normalize("NFD")
    .toLowerCase()
    .replace(/\p{M}/gu, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
