/** Milliseconds of a fade from one picture to the next. */
export const FADE_DURATION = 700;

/**
 * Put a picture over what a place shows, let it fade in, then remove what it covers.
 *
 * @param {HTMLElement} place
 * @param {HTMLElement} element
 * @param {number} duration in milliseconds
 */
export function fadeIn(place, element, duration) {
  for (const covered of [...place.children].slice(0, -2)) covered.remove();
  place.append(element);
  const animation = element.animate([{ opacity: 0 }, { opacity: 1 }], { duration, easing: "ease-in-out" });
  animation.onfinish = () => {
    while (place.firstElementChild !== element && element.parentNode === place) place.firstElementChild?.remove();
  };
}

/**
 * Empty a place at once, and let what it showed fade out where it was, even if the page is laid out again meanwhile.
 *
 * @param {HTMLElement} place
 * @param {HTMLElement} root takes the picture while it fades
 * @param {number} duration in milliseconds
 */
export function fadeOut(place, root, duration) {
  const element = place.lastElementChild;
  const { left, top, width, height } = place.getBoundingClientRect();
  place.replaceChildren();
  if (!element || width === 0) return;
  const copy = /** @type {HTMLElement} */ (element.cloneNode());
  copy.className = "fading";
  for (const name of Object.keys(copy.dataset)) delete copy.dataset[name]; // it is not the picture of the job any more
  Object.assign(copy.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
  root.append(copy);
  copy.animate([{ opacity: 1 }, { opacity: 0 }], { duration, easing: "ease-in-out" }).onfinish = () => copy.remove();
}
