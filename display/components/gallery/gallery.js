import { followAppearance, showBrand } from "../common/appearance.js";
import { DreamDialog } from "../common/dream_dialog.js";
import { create, find, readPageData } from "../common/elements.js";
import { EventFeed } from "../common/event_feed.js";
import { fill, formatCount, formatTime } from "../common/formatting.js";
import { showNavigation } from "../common/navigation.js";
import { pictureUrl } from "../common/picture_url.js";

/**
 * @typedef {import("../common/event_feed.js").Dream} Dream
 *
 * What `/gallery/dreams` answers; the filters come with the first page only.
 * @typedef {{count: number, recipes: [string, string][], days: string[]}} Filters
 * @typedef {{dreams: Dream[]} & Partial<Filters>} Page
 */

/** @type {import("../common/formatting.js").Texts} */
const texts = readPageData("texts");

// Milliseconds until a page that could not be loaded is requested again.
const RETRY_AFTER = 3_000;

// Milliseconds within which a gallery that may have missed something asks for it: not all of them ask at once.
const REFRESH_WITHIN = 2_000;

// Pages that such a gallery asks for at most. What it has beyond them it removes, and loads again as one scrolls.
const MAX_REFRESHED_PAGES = 20;

// Pixels below the window at which the next page is loaded.
const LOAD_AHEAD = 600;

/** All dreams, newest first: in pages that are loaded as one scrolls, and from the events of those that are finished. */
class Gallery {
  /** Changes with the filters, so that an answer to older ones is recognised. */
  #generation = 0;
  /** @type {Dream[]} those in the list, in its order */
  #dreams = [];
  /** @type {Dream | undefined} the last dream of the last page */
  #oldest;
  #isLoading = false;
  #isComplete = false;
  #isConnected = false;
  /** @type {number | undefined} of all dreams, whatever is chosen */
  #count;
  /** @type {number | undefined} */
  #refreshTimer;
  /** @type {Map<string, boolean>} job id → is visible, by the events since the last request: its answer may be older */
  #announced = new Map();
  /** @type {Map<string, string>} recipe → title */
  #recipes = new Map();
  /** @type {Set<string>} */
  #days = new Set();

  constructor() {
    this.list = find(".dreams");
    this.end = find(".end");
    this.recipe = find("select[name=recipe]", HTMLSelectElement);
    this.day = find("select[name=day]", HTMLSelectElement);
    this.dialog = new DreamDialog(texts);
    showNavigation(texts);
    showBrand(find(".brand"), readPageData("appearance"));
    find("h1").textContent = texts.gallery;
    find(".by-recipe").textContent = texts.by_recipe;
    find(".by-day").textContent = texts.by_day;
    find(".empty").textContent = texts.gallery_empty;
    find(".unavailable").textContent = texts.reconnecting;
    for (const select of [this.recipe, this.day]) select.addEventListener("change", () => this.#restart());
    const options = { rootMargin: `${LOAD_AHEAD}px` };
    // The last of the entries is the current state, as one may have scrolled on before they are handled.
    this.observer = new IntersectionObserver((entries) => entries.at(-1)?.isIntersecting && this.#loadMore(), options);
    new EventFeed("/feed", (event) => {
      followAppearance(event);
      this.#handleEvent(event);
    });
    this.#restart();
  }

  // Load from the newest dream on, with the filters that are chosen now.
  #restart() {
    this.#generation++;
    this.#dreams = [];
    this.#oldest = undefined;
    this.#isLoading = this.#isComplete = false;
    this.list.replaceChildren();
    this.dialog.close();
    this.#loadMore();
  }

  async #loadMore() {
    if (this.#isLoading || this.#isComplete) return;
    this.#isLoading = true;
    const generation = this.#generation;
    const page = await this.#fetchPage(this.#oldest);
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
    if (page.count !== undefined) this.#checkCount(page.count);
    this.#showFilters(page);
    if (generation !== this.#generation) return;
    this.#insert(page.dreams);
    this.#oldest = page.dreams.at(-1) ?? this.#oldest;
    this.#isComplete = page.dreams.length === 0;
    this.#finishLoading();
  }

  #finishLoading() {
    this.#isLoading = false;
    // Reports the end of the list once more, also if that was in view before and, as one has scrolled on, is so again.
    this.observer.unobserve(this.end);
    this.observer.observe(this.end);
  }

  /**
   * Return the page of dreams that follows another one, the newest if there is none; null if it cannot be loaded.
   *
   * @param {Dream | undefined} last the last dream of the page before
   * @returns {Promise<Page | null>}
   */
  async #fetchPage(last) {
    this.#announced.clear();
    const before = last ? `${last.at}-${last.job_id}` : "";
    const query = new URLSearchParams({ before, recipe: this.recipe.value, day: this.day.value });
    try {
      const response = await fetch(`/gallery/dreams?${query}`);
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }

  /** @param {import("../common/event_feed.js").FeedEvent} event */
  #handleEvent({ kind, body }) {
    if (kind === "snapshot") {
      body.dreams.forEach((dream) => this.#takeIn(dream));
      this.#checkCount(body.count);
      // The first one comes with the first page. Later ones: the display was away, has read the store, or begins an event.
      if (this.#isConnected) this.#scheduleRefresh();
      this.#isConnected = true;
    }
    if (kind === "dream") {
      this.#takeIn(body);
      this.#showCount(body.count);
    }
    if (kind === "gone") {
      this.#announced.set(body.job_id, false);
      this.#remove(body.job_id);
      this.#showCount(body.count);
    }
  }

  /**
   * Show a dream that was announced: what can be chosen now includes it, and so does the list if that is its place.
   *
   * @param {Dream} dream
   */
  #takeIn(dream) {
    this.#announced.set(dream.job_id, true);
    if (!this.#recipes.has(dream.recipe) || !this.#days.has(dream.day)) {
      this.#recipes.set(dream.recipe, dream.title);
      this.#days.add(dream.day);
      this.#fillSelects();
    }
    const isChosen = ["", dream.recipe].includes(this.recipe.value) && ["", dream.day].includes(this.day.value);
    const isOnLaterPage = !this.#isComplete && this.#oldest && !isNewer(dream, this.#oldest);
    if (isChosen && !isOnLaterPage) this.#insert([dream]);
  }

  /** @param {Page} page */
  #showFilters({ count, recipes, days }) {
    if (count === undefined || !recipes || !days) return;
    this.#showCount(count);
    this.#recipes = new Map(recipes);
    this.#days = new Set(days);
    this.#fillSelects();
  }

  // Page and snapshot are of the same moment, unless they differ in this.
  /** @param {number} count */
  #checkCount(count) {
    if (this.#count !== undefined && this.#count !== count) this.#scheduleRefresh();
    this.#showCount(count);
  }

  /** @param {number} count */
  #showCount(count) {
    this.#count = count;
    find(".count").textContent = formatCount(texts, count, "dreams");
  }

  // The list begins again if what was chosen has no dream left: then all are chosen.
  #fillSelects() {
    const chosen = [this.recipe.value, this.day.value];
    fillSelect(
      this.recipe,
      [...this.#recipes].sort(([, title], [, other]) => title.localeCompare(other, texts.language)),
    );
    const days = [...this.#days].sort().reverse();
    fillSelect(
      this.day,
      days.map((day) => [day, new Date(`${day}T12:00`).toLocaleDateString(texts.language)]),
    );
    if (this.recipe.value !== chosen[0] || this.day.value !== chosen[1]) this.#restart();
  }

  // A dream may be there already: pages overlap, and one that ends while a page is loaded is also announced. A page may
  // still have one that is hidden while it is loaded.
  /** @param {Dream[]} dreams */
  #insert(dreams) {
    const known = new Set(this.#dreams.map((dream) => dream.job_id));
    for (const dream of dreams.filter(({ job_id }) => !known.has(job_id) && this.#announced.get(job_id) !== false)) {
      let index = this.#dreams.length;
      while (index > 0 && isNewer(dream, this.#dreams[index - 1])) index--;
      this.#dreams.splice(index, 0, dream);
      this.list.insertBefore(this.#createItem(dream), this.list.children[index] ?? null);
    }
    this.#showWhetherEmpty();
  }

  /** @param {string} jobId */
  #remove(jobId) {
    this.dialog.closeIfShown(jobId);
    const index = this.#dreams.findIndex((dream) => dream.job_id === jobId);
    if (index < 0) return;
    this.#dreams.splice(index, 1);
    this.list.children[index].remove();
    this.#showWhetherEmpty();
  }

  #showWhetherEmpty() {
    find(".empty").hidden = this.#dreams.length > 0;
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

  /** @param {number} delay in milliseconds */
  #scheduleRefresh(delay = Math.random() * REFRESH_WITHIN) {
    clearTimeout(this.#refreshTimer);
    this.#refreshTimer = setTimeout(() => this.#refresh(), delay);
  }

  // Take in what was added or removed unseen, page by page, and leave all else where the reader has scrolled to.
  async #refresh() {
    if (this.#isLoading) {
      this.#scheduleRefresh();
      return;
    }
    this.#isLoading = true;
    const generation = this.#generation;
    /** @type {Dream | undefined} */
    let last;
    let pages = 0;
    do {
      const page = await this.#fetchPage(last);
      if (generation !== this.#generation) return;
      if (page === null) {
        this.#finishLoading();
        this.#scheduleRefresh(RETRY_AFTER);
        return;
      }
      // Count and filters of this page may lack what was announced meanwhile.
      if (page.count !== undefined && this.#announced.size > 0) this.#scheduleRefresh();
      this.#showFilters(page);
      if (generation !== this.#generation) return;
      this.#compare(page.dreams, last);
      last = page.dreams.at(-1) ?? last;
      pages++;
    } while (pages < MAX_REFRESHED_PAGES && this.#listOlder(last).length > 0);
    for (const dream of this.#listOlder(last)) this.#remove(dream.job_id);
    this.#oldest = last;
    this.#isComplete = false; // there may be more at the end
    this.#finishLoading();
  }

  /** @param {Dream | undefined} dream */
  #listOlder(dream) {
    return this.#dreams.filter((other) => dream && isNewer(dream, other));
  }

  /**
   * Add the dreams of a page, and remove those that should be among them but are not.
   *
   * @param {Dream[]} dreams
   * @param {Dream | undefined} before the last dream of the page before
   */
  #compare(dreams, before) {
    const listed = new Set(dreams.map((dream) => dream.job_id));
    const last = dreams.at(-1);
    for (const dream of this.#dreams.slice()) {
      const isOnPage = (!before || isNewer(before, dream)) && !(last && isNewer(last, dream));
      if (isOnPage && !listed.has(dream.job_id) && !this.#announced.get(dream.job_id)) this.#remove(dream.job_id);
    }
    this.#insert(dreams);
  }
}

/**
 * @param {Dream} dream
 * @param {Dream} other
 */
const isNewer = (dream, other) => dream.at > other.at || (dream.at === other.at && dream.job_id > other.job_id);

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
