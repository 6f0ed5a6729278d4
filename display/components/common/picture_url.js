/**
 * Escape the parts of an object name for a URL.
 *
 * @param {string} name
 */
export const encodeName = (name) => name.split("/").map(encodeURIComponent).join("/");

/**
 * Return the address at which the display serves a picture of the store.
 *
 * @param {string} name the picture's object name
 */
export const pictureUrl = (name) => `/pictures/${encodeName(name)}`;
