import { showBrand } from "../common/appearance.js";
import { create, find, readPageData } from "../common/elements.js";
import { fill } from "../common/formatting.js";
import { showNavigation, withLanguage } from "../common/navigation.js";

/**
 * What `/mine/state` answers: the page of each picture, and what it answers; see `display/pages/collection.py`.
 *
 * @typedef {{page: string, state: string, title?: string}} Picture
 */

/** @type {import("../common/formatting.js").Texts} */
const texts = readPageData("texts");

/** @type {import("../common/appearance.js").Appearance} */
const appearance = readPageData("appearance");

// Milliseconds until the states are requested again, while one of these may change soon, and otherwise: a dream may be
// hidden or deleted.
const POLL_INTERVAL = 2_000;
const IDLE_POLL_INTERVAL = 10_000;
const CHANGING_STATES = ["received", "waiting", "emerging", "held", "away"];

/** The pictures that this phone keeps: dreams, and photos that are not dreamt yet. */
class Collection {
  constructor() {
    showNavigation(texts);
    showBrand(find(".brand"), appearance);
    find("h1").textContent = texts.mine;
    document.title = `${texts.mine} · ${appearance.title || texts.name}`;
    find("footer p").textContent = texts.mine_kept;
    const forget = find(".forget", HTMLButtonElement);
    forget.textContent = texts.mine_forget;
    forget.addEventListener("click", () => this.#forget());
    this.#show(readPageData("pictures"));
  }

  /** @param {Picture[]} pictures */
  #show(pictures) {
    const shown = pictures.map(createEntry);
    const list = find(".pictures");
    // Only what has changed is replaced, so that no picture loads again.
    const known = new Map([...list.children].map((entry) => [/** @type {HTMLElement} */ (entry).dataset.key, entry]));
    list.replaceChildren(...shown.map((entry) => known.get(entry.dataset.key) ?? entry));
    find(".more").textContent = pictures.length ? "" : texts.mine_empty;
    find("footer").hidden = !pictures.length;
    if (!pictures.length) return;
    const mayChangeSoon = pictures.some(({ state }) => CHANGING_STATES.includes(state));
    setTimeout(() => this.#poll(), mayChangeSoon ? POLL_INTERVAL : IDLE_POLL_INTERVAL);
  }

  async #poll() {
    try {
      const response = await fetch("/mine/state");
      if (!response.ok) throw new Error(`Status ${response.status}`);
      find(".notice").textContent = "";
      this.#show(await response.json());
    } catch {
      find(".notice").textContent = texts.reconnecting;
      setTimeout(() => this.#poll(), POLL_INTERVAL);
    }
  }

  async #forget() {
    try {
      const response = await fetch("/mine/forget", { method: "POST" });
      if (!response.ok) throw new Error(`Status ${response.status}`);
      this.#show([]);
    } catch {
      find(".notice").textContent = texts.reconnecting;
    }
  }
}

/**
 * Return a picture's entry: the dream with its title, or how far its photo is.
 *
 * @param {Picture} picture
 */
function createEntry({ page, state, title = "" }) {
  const content =
    state === "done"
      ? [
          create("img", { src: `${page}/thumb.jpg`, alt: fill(texts.alt_dream, { title }), loading: "lazy" }),
          create("span", { className: "title" }, title),
        ]
      : [create("span", { className: "pending" }, describe(state))];
  const entry = create("li", {}, create("a", { href: withLanguage(page) }, ...content));
  entry.dataset.key = `${page} ${state}`;
  return entry;
}

/** @param {string} state */
function describe(state) {
  const described = {
    received: texts.own_received,
    waiting: texts.own_waiting,
    emerging: texts.mine_emerging,
    held: texts.link_held,
    failed: texts.own_failed,
    refused: texts.mine_refused,
  };
  return described[/** @type {keyof typeof described} */ (state)] ?? texts.link_away;
}

new Collection();
