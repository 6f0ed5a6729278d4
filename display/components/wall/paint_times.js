/**
 * Wait until an element that was just put into the page is on the screen; return when that was, in epoch milliseconds.
 *
 * @returns {Promise<number>}
 */
const waitForPaint = () =>
  new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.timeOrigin + performance.now()))),
  );

/** When each dream was on the screen for the first time, large or small. Benchmarks read it off the pictures. */
export class PaintTimes {
  /** @type {Map<string, number>} epoch milliseconds by job id */
  #firstPaints = new Map();
  /** @type {Set<string>} job ids of dreams that came just now, and whose first paint is reported */
  #expected = new Set();

  /** @param {(jobId: string) => void} report */
  constructor(report) {
    this.report = report;
  }

  /**
   * Report the first paint of a dream.
   *
   * @param {string} jobId
   */
  expect(jobId) {
    this.#expected.add(jobId);
  }

  /**
   * Note on a picture, in `data-shown-at`, when it was on the screen.
   *
   * @param {HTMLImageElement} image
   * @param {string} jobId
   */
  async record(image, jobId) {
    let paintedAt = await waitForPaint();
    if (!image.checkVisibility?.()) return;
    if (image.dataset.dream) {
      paintedAt = Math.min(paintedAt, this.#firstPaints.get(jobId) ?? Infinity);
      this.#firstPaints.set(jobId, paintedAt);
      if (this.#expected.delete(jobId)) this.report(jobId);
    }
    image.dataset.shownAt = String(paintedAt);
  }

  /**
   * Forget all dreams but these.
   *
   * @param {string[]} jobIds
   */
  keepOnly(jobIds) {
    for (const kept of [this.#firstPaints, this.#expected]) {
      for (const jobId of kept.keys()) {
        if (!jobIds.includes(jobId)) kept.delete(jobId);
      }
    }
  }
}
