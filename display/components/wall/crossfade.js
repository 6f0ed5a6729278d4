import { sleep, systemClock } from "../common/clock.js";
import { loadImage } from "../common/image.js";

// Milliseconds. Pictures change at most three times a second (WCAG 2.3.1).
const MIN_INTERVAL = 350;
const FIRST_RETRY_AFTER = 400;
const MAX_RETRY_AFTER = 8_000;

// Milliseconds. A browser sets no limit to a server that accepts a request and never answers.
const LOAD_TIMEOUT = 20_000;

/**
 * A picture to show. `immediate` ones are shown without regard to when the last one was, and wait for none before them.
 *
 * @typedef {{source: string, jobId: string, immediate: boolean}} Picture
 */

/**
 * Tell whether a picture that was loaded may no longer be shown, for another one was requested meanwhile. Frames of the
 * same job are shown even if a newer one is on its way; only an immediate one, the finished dream, replaces them.
 *
 * @param {Picture} loaded
 * @param {Picture | undefined} requested
 */
export const isSuperseded = (loaded, requested) =>
  requested?.jobId !== loaded.jobId || (requested !== loaded && requested.immediate);

/**
 * Loads pictures one after another and shows each once it is decoded. Only the picture that was requested last is loaded
 * next; those requested before it are skipped. A picture that cannot be loaded is tried again until another is requested.
 *
 * @template {Picture} P
 */
export class Crossfade {
  /** @type {P | undefined} */
  #requested;
  /** @type {(() => void) | undefined} */
  #interrupt;
  #isRunning = false;
  #shownAt = -Infinity;

  /**
   * @param {(image: HTMLImageElement, picture: P) => void} show puts a decoded picture into the page
   * @param {object} options
   * @param {(source: string) => Promise<HTMLImageElement>} [options.load]
   * @param {import("../common/clock.js").Clock} [options.clock]
   */
  constructor(show, { load = loadImage, clock = systemClock } = {}) {
    this.show = show;
    this.load = load;
    this.clock = clock;
  }

  /** @param {P} picture */
  request(picture) {
    this.#requested = picture;
    if (picture.immediate) this.#interrupt?.();
    if (!this.#isRunning) this.#run();
  }

  cancel() {
    this.#requested = undefined;
  }

  async #run() {
    this.#isRunning = true;
    let retryAfter = FIRST_RETRY_AFTER;
    while (this.#requested) {
      const picture = this.#requested;
      /** @type {Promise<void>} */
      const interrupted = new Promise((done) => (this.#interrupt = done));
      try {
        const image = await Promise.race([this.#load(picture.source), interrupted]);
        const rest = this.#shownAt + MIN_INTERVAL - this.clock.now();
        if (rest > 0 && !picture.immediate) await Promise.race([sleep(rest, this.clock), interrupted]);
        if (!image || isSuperseded(picture, this.#requested)) continue;
        if (this.#requested === picture) this.#requested = undefined;
        this.#shownAt = this.clock.now();
        this.show(image, picture);
        retryAfter = FIRST_RETRY_AFTER;
      } catch {
        // The store is unavailable, or slow. The last picture stays until this one, or a newer one, can be loaded.
        await Promise.race([sleep(retryAfter, this.clock), interrupted]);
        retryAfter = Math.min(2 * retryAfter, MAX_RETRY_AFTER);
      }
    }
    this.#isRunning = false;
  }

  /** @param {string} source */
  async #load(source) {
    /** @type {unknown} */
    let timer;
    /** @type {Promise<never>} */
    const expired = new Promise((_, reject) => {
      timer = this.clock.setTimeout(() => reject(new Error(`${source} takes too long.`)), LOAD_TIMEOUT);
    });
    try {
      return await Promise.race([this.load(source), expired]);
    } finally {
      this.clock.clearTimeout(timer);
    }
  }
}
