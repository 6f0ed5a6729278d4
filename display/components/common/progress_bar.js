/**
 * Show how much of something is done.
 *
 * @param {HTMLElement} bar with the role `progressbar` and one child, which is stretched
 * @param {number} fraction from 0 to 1
 * @param {string} label what it is, for those who do not see it
 */
export function showProgress(bar, fraction, label) {
  const percent = Math.round(100 * fraction);
  bar.setAttribute("aria-label", label);
  bar.setAttribute("aria-valuenow", String(percent));
  /** @type {HTMLElement} */ (bar.firstElementChild).style.transform = `scaleX(${percent / 100})`;
}
