import { create, find, readPageData } from "./elements.js";

/**
 * Show the links to the other pages of the display, in the language of this one.
 *
 * @param {import("./formatting.js").Texts} texts
 */
export function showNavigation(texts) {
  /** @type {string[]} */
  const pages = readPageData("pages");
  const names = { "/gallery": texts.gallery, "/map": texts.map, "/send": texts.send_title, "/mine": texts.mine };
  const others = Object.entries(names).filter(([path]) => pages.includes(path) && path !== location.pathname);
  find("nav").replaceChildren(...others.map(([path, name]) => create("a", { href: withLanguage(path) }, name)));
}

/**
 * Return the address of another page in the language of this one, if its link says which.
 *
 * @param {string} path
 */
export function withLanguage(path) {
  const language = new URLSearchParams(location.search).get("lang");
  return language ? `${path}?lang=${encodeURIComponent(language)}` : path;
}
