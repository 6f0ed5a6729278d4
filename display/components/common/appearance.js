import { create, find } from "./elements.js";

/**
 * How the event looks, as `describe_appearance` in `display/web/theme.py` writes it: CSS properties of the page's root, and
 * texts, which are empty if the page's own are to be used. `logo` is an address, or empty.
 *
 * @typedef {object} Appearance
 * @property {Record<string, string>} variables
 * @property {"dark" | "light"} theme
 * @property {string} title
 * @property {string} subtitle
 * @property {string} idle_text
 * @property {string} consent
 * @property {string} logo
 */

/**
 * Return the appearance that an event of the feed brings; undefined if it brings none.
 *
 * @param {import("./event_feed.js").FeedEvent} event
 */
export function readAppearance({ kind, body }) {
  if (kind === "appearance") return body;
  return kind === "snapshot" ? body.appearance : undefined;
}

/**
 * Show a page in the colours and the size of the event.
 *
 * @param {Appearance} appearance
 */
export function applyTheme({ variables, theme }) {
  const { style, dataset } = document.documentElement;
  for (const [name, value] of Object.entries(variables)) style.setProperty(name, value);
  dataset.theme = theme;
  document.querySelector("meta[name=theme-color]")?.setAttribute("content", `rgb(${variables["--ground-rgb"]})`);
}

/**
 * Show logo, title and subtitle of the event in an element, which is hidden if the event has none of them.
 *
 * @param {HTMLElement} element
 * @param {Appearance} appearance
 */
export function showBrand(element, { logo, title, subtitle }) {
  const lines = [];
  if (title) lines.push(create("span", { textContent: title }));
  if (subtitle) lines.push(create("small", { textContent: subtitle }));
  const children = [];
  if (logo) children.push(create("img", { src: logo, alt: title ? "" : "Logo" }));
  if (lines.length > 0) children.push(create("span", {}, ...lines));
  element.replaceChildren(...children);
  element.hidden = children.length === 0;
}

/**
 * Let a page look as the event does, and follow the changes that the feed brings.
 *
 * @param {import("./event_feed.js").FeedEvent} event
 */
export function followAppearance(event) {
  const appearance = readAppearance(event);
  if (!appearance) return;
  applyTheme(appearance);
  showBrand(find(".brand"), appearance);
}
