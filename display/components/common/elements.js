/**
 * Return the first element that matches a selector. Throws an Error if there is none of that type.
 *
 * @template {Element} [E=HTMLElement]
 * @param {string} selector
 * @param {new () => E} type
 * @param {ParentNode} root
 * @returns {E}
 */
export function find(selector, type = /** @type {any} */ (HTMLElement), root = document) {
  const found = root.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`This page has no ${type.name} ${selector}.`);
  return found;
}

/**
 * Create an element with properties and children.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Partial<HTMLElementTagNameMap[T]>} properties
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function create(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/**
 * Return what the server wrote into `data-<name>` of the page's body, as JSON.
 *
 * @param {string} name
 */
export const readPageData = (name) => JSON.parse(document.body.dataset[name] ?? "null");
