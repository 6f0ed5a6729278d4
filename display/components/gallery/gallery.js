import { create, find, readPageData } from "../common/elements.js";
import { EventFeed } from "../common/event_feed.js";
import { fill, formatCount, formatTime } from "../common/formatting.js";
import { pictureUrl } from "../common/picture_url.js";
import { DreamDialog } from "./dream_dialog.js";

/**
 * @typedef {import("../common/event_feed.js").Dream} Dream
 *
 * What `/gallery/dreams` answers; the filters come with the first page only.
 * @typedef {{count: number, recipes: [string, string][], days: string[]}} Filters
 * @typedef {{dreams: Dream[]} & Partial<Filters>} Page
 */

/** @type {import("../common/formatting.js").Texts} */
const texts = readPageData("texts");

// Milliseconds until a page that could not be loaded is requested again, and until a page that is loading is looked at.
const RETRY_AFTER = 3_000;
const WAIT_FOR_PAGE = 100;

// Pixels below the window at which the next page is loaded.
const LOAD_AHEAD = 600;

/** All dreams, newest first, in pages that are loaded as one scrolls. */
class Gallery {
  /** Changes with the filters, so that an answer to older ones is recognised. */
  #generation = 0;
  #cursor = "";
  #isLoading = false;
  #isComplete = false;
  /** @type {number | undefined} */
  #refreshTimer;

  constructor() {
    this.list = find(".dreams");
    this.end = find(".end");
    this.recipe = find("select[name=recipe]", HTMLSelectElement);
    this.day = find("select[name=day]", HTMLSelectElement);
    this.dialog = new DreamDialog(texts);
    find("h1").textContent = texts.gallery;
    find(".by-recipe").textContent = texts.by_recipe;
    find(".by-day").textContent = texts.by_day;
    find(".empty").textContent = texts.gallery_empty;
    find(".unavailable").textContent = texts.reconnecting;
    for (const select of [this.recipe, this.day]) select.addEventListener("change", () => this.#restart());
    const options = { rootMargin: `${LOAD_AHEAD}px` };
    new IntersectionObserver(([end]) => end.isIntersecting && this.#loadMore(), options).observe(this.end);
    new EventFeed("/feed", (event) => this.#handleEvent(event));
    this.#restart();
  }

  // Load from the newest dream on, with the filters that are chosen now.
  #restart() {
    this.#generation++;
    this.#cursor = "";
    this.#isLoading = this.#isComplete = false;
    this.list.replaceChildren();
    this.#loadMore();
  }

  async #loadMore() {
    if (this.#isLoading || this.#isComplete) return;
    this.#isLoading = true;
    const generation = this.#generation;
    const page = await this.#fetchPage(this.#cursor);
    if (generation !== this.#generation) return;
    find(".unavailable").hidden = page !== null;
    if (page === null) {
      setTimeout(() => {
        if (generation !== this.#generation) return;
        this.#isLoading = false;
        this.#loadMore();
      }, RETRY_AFTER);
      return;
    }
    this.#showFilters(page);
    this.list.append(...this.#createMissingItems(page));
    find(".empty").hidden = this.list.children.length > 0;
    const last = page.dreams.at(-1);
    if (last) this.#cursor = `${last.at}-${last.job_id}`;
    this.#isComplete = last === undefined;
    this.#isLoading = false;
    if (this.end.getBoundingClientRect().top < innerHeight + LOAD_AHEAD) this.#loadMore();
  }

  /**
   * Return a page of dreams, the newest if the cursor is empty; null if it cannot be loaded.
   *
   * @param {string} cursor
   * @returns {Promise<Page | null>}
   */
  async #fetchPage(cursor) {
    const query = new URLSearchParams({ before: cursor, recipe: this.recipe.value, day: this.day.value });
    try {
      const response = await fetch(`/gallery/dreams?${query}`);
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }

  /** @param {Page} page */
  #showFilters({ count, recipes, days }) {
    if (count === undefined || !recipes || !days) return;
    find(".count").textContent = formatCount(texts, count, "one_dream", "many_dreams");
    fillSelect(this.recipe, recipes);
    fillSelect(
      this.day,
      days.map((day) => [day, new Date(`${day}T12:00`).toLocaleDateString(texts.language)]),
    );
  }

  // Pages overlap: a dream that ends while one is loaded is on it, and is added by its event.
  /** @param {Page} page */
  #createMissingItems({ dreams }) {
    return dreams.filter((dream) => !this.#findItem(dream.job_id)).map((dream) => this.#createItem(dream));
  }

  /** @param {Dream} dream */
  #createItem(dream) {
    const image = create("img", { loading: "lazy", decoding: "async", alt: fill(texts.alt_dream, { title: dream.title }) });
    image.src = pictureUrl(dream.thumb); // after `loading`, or it would be loaded at once
    const time = create("time", { dateTime: new Date(1000 * dream.at).toISOString() });
    time.textContent = formatTime(texts, dream.at, { timeStyle: "short" });
    const frame = create("span", { className: "frame" }, image);
    const name = create("span", { className: "name" }, dream.title, time);
    const button = create("button", { type: "button" }, frame, name);
    button.addEventListener("click", () => this.dialog.open(dream));
    const item = create("li", {}, button);
    item.dataset.jobId = dream.job_id;
    return item;
  }

  /** @param {string} jobId */
  #findItem(jobId) {
    return this.list.querySelector(`[data-job-id="${jobId}"]`);
  }

  /** @param {import("../common/event_feed.js").FeedEvent} event */
  #handleEvent({ kind, body }) {
    if (kind === "snapshot") this.#refresh();
    if (kind === "dream" && !this.#findItem(body.job_id)) this.#addNewest();
    if (kind === "gone") {
      this.#findItem(body.job_id)?.remove();
      this.dialog.closeIfShown(body.job_id);
    }
  }

  // A display that has just started may still be reading the store: older dreams are then added at the end.
  async #refresh() {
    clearTimeout(this.#refreshTimer);
    if (this.#isLoading) {
      this.#refreshTimer = setTimeout(() => this.#refresh(), WAIT_FOR_PAGE);
      return;
    }
    const page = await this.#fetchPage("");
    if (page === null) return;
    this.#showFilters(page);
    this.#isComplete = false;
    this.#loadMore();
  }

  async #addNewest() {
    const page = await this.#fetchPage("");
    if (page === null) return;
    this.#showFilters(page);
    this.list.prepend(...this.#createMissingItems(page));
    find(".empty").hidden = this.list.children.length > 0;
  }
}

/**
 * Replace what can be chosen, and keep what is.
 *
 * @param {HTMLSelectElement} select
 * @param {[string, string][]} options value and text
 */
function fillSelect(select, options) {
  const { value } = select;
  select.replaceChildren(new Option(texts.all, ""), ...options.map(([option, text]) => new Option(text, option)));
  select.value = options.some(([option]) => option === value) ? value : "";
}

new Gallery();
