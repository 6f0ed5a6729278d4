/**
 * Put a QR code into a figure and note it on the wall as `data-<place>`, which the style sheet makes room for. If phones
 * cannot follow it, the server has none, and figure and note are removed.
 *
 * @param {HTMLElement} root
 * @param {string} place the figure's class
 * @param {string} name a job id, or “send”
 * @param {string} alt
 * @param {() => boolean} isStillNeeded asked once it is loaded
 * @param {() => void} onMissing called if the server has none
 */
export function showQrCode(root, place, name, alt, isStillNeeded = () => true, onMissing = () => {}) {
  const code = Object.assign(new Image(), { alt });
  code.onload = () => {
    if (!isStillNeeded()) return;
    removeQrCode(root, place);
    root.querySelector(`.${place}`)?.prepend(code);
    root.setAttribute(`data-${place}`, name);
  };
  code.onerror = () => {
    removeQrCode(root, place);
    onMissing();
  };
  code.src = `/qr/${name}.svg`;
}

/**
 * @param {HTMLElement} root
 * @param {string} place
 */
export function removeQrCode(root, place) {
  root.querySelector(`.${place} img`)?.remove();
  root.removeAttribute(`data-${place}`);
}
