import { create } from "../common/elements.js";

/**
 * What `/t/<token>/print` answers. See `PrintOffer` in `display/pages/share_prints.py`.
 *
 * @typedef {{is_offered: boolean, left: number, ordered: number, is_event_full: boolean, state: string}} PrintOffer
 */

// Milliseconds until an offer is requested again, while a print is under way and if it could not be read.
const POLL_INTERVAL = 2_000;
const RETRY_AFTER = 10_000;

/** The form that orders prints of a dream, if there is a printer. */
export class PrintForm {
  /** @type {PrintOffer | undefined} */
  #offer;
  #isOpen = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #nextPoll;

  /**
   * @param {HTMLFormElement} form
   * @param {string} url
   * @param {Record<string, string>} texts
   */
  constructor(form, url, texts) {
    this.form = form;
    this.url = url;
    this.texts = texts;
    this.select = /** @type {HTMLSelectElement} */ (form.querySelector("select"));
    this.button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
    this.status = /** @type {HTMLElement} */ (form.querySelector("[role=status]"));
    this.button.textContent = texts.print;
    /** @type {HTMLElement} */ (form.querySelector("label span")).textContent = texts.print_copies;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#order();
    });
  }

  /** Show the form as soon as prints are offered. */
  open() {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#poll();
  }

  /** Hide the form: the dream is not shown any more. */
  close() {
    this.#isOpen = false;
    clearTimeout(this.#nextPoll);
    this.form.hidden = true;
  }

  async #poll() {
    if (!this.#isOpen) return;
    let delay = RETRY_AFTER;
    try {
      const response = await fetch(this.url);
      if (response.ok) {
        this.#show(await response.json());
        delay = this.#isUnderWay() ? POLL_INTERVAL : RETRY_AFTER;
      }
    } catch {
      // It is tried again: the rest of the page works without a printer.
    }
    if (this.#isOpen) this.#nextPoll = setTimeout(() => this.#poll(), delay);
  }

  #isUnderWay() {
    return this.#offer?.state === "printing" || this.#offer?.state === "waiting";
  }

  async #order() {
    const copies = Number(this.select.value) || 1;
    // The number of the first copy makes an order that is sent twice one order.
    const body = JSON.stringify({ first: (this.#offer?.ordered ?? 0) + 1, copies });
    this.button.disabled = true;
    try {
      const response = await fetch(this.url, { method: "POST", body });
      const answer = await response.json();
      if (response.ok) {
        this.#show(answer);
        clearTimeout(this.#nextPoll);
        this.#nextPoll = setTimeout(() => this.#poll(), POLL_INTERVAL);
      } else {
        this.#say(answer.reason);
      }
    } catch {
      this.#say(this.texts.print_busy);
    }
    this.button.disabled = false;
  }

  /** @param {PrintOffer} offer */
  #show(offer) {
    this.#offer = offer;
    const { left } = offer;
    this.form.hidden = !this.#isOpen || !offer.is_offered;
    this.button.hidden = left === 0;
    /** @type {HTMLElement} */ (this.select.parentElement).hidden = left < 2;
    if (this.select.options.length !== left) {
      const chosen = Math.min(this.select.selectedIndex, left - 1);
      this.select.replaceChildren(
        ...Array.from({ length: left }, (_, index) => create("option", { textContent: String(index + 1) })),
      );
      this.select.selectedIndex = Math.max(0, chosen);
    }
    this.#say(this.#describe(offer));
  }

  /** @param {PrintOffer} offer */
  #describe({ state, left, is_event_full }) {
    if (state !== "none") return this.texts[`print_${state}`];
    if (left > 0) return "";
    return is_event_full ? this.texts.print_event_limit : this.texts.print_limit;
  }

  /** @param {string} text */
  #say(text) {
    if (this.status.textContent !== text) this.status.textContent = text; // or screen readers would read it again
  }
}
