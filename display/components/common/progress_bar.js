/**
 * Show how much of something is done.
 *
 * @param {HTMLElement} bar with the role `progressbar` and one child, which is stretched
 * @param {number} fraction from 0 to 1
 */
export function showProgress(bar, fraction) {
  const percent = Math.round(100 * fraction);
  bar.setAttribute("aria-valuenow", String(percent));
  /** @type {HTMLElement} */ (bar.firstElementChild).style.transform = `scaleX(${percent / 100})`;
}
