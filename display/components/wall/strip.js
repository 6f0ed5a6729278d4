import { create } from "../common/elements.js";
import { fill } from "../common/formatting.js";
import { aspectRatio } from "../common/image.js";
import { pictureUrl } from "../common/picture_url.js";
import { Crossfade } from "./crossfade.js";
import { FADE_DURATION, fadeIn } from "./fade.js";

/** @typedef {import("../common/event_feed.js").Dream} Dream */

/** The row of earlier dreams at the foot of the wall. */
export class Strip {
  /** @type {Map<string, {item: HTMLElement, crossfade: Crossfade<import("./crossfade.js").Picture>}>} by job id */
  #entries = new Map();

  /**
   * @param {HTMLElement} list
   * @param {import("../common/formatting.js").Texts} texts
   * @param {import("./paint_times.js").PaintTimes} paintTimes
   */
  constructor(list, texts, paintTimes) {
    this.list = list;
    this.texts = texts;
    this.paintTimes = paintTimes;
    list.setAttribute("aria-label", texts.strip);
  }

  /** Load no more pictures. */
  close() {
    this.#keepOnly([]);
  }

  /** @param {Dream[]} dreams newest first */
  show(dreams) {
    const { children } = this.list;
    const items = dreams.map((dream) => this.#entries.get(dream.job_id)?.item ?? this.#createItem(dream));
    if (items.some((item, index) => children[index] !== item) || items.length !== children.length) {
      this.list.replaceChildren(...items);
    }
    const jobIds = dreams.map((dream) => dream.job_id);
    this.#keepOnly(jobIds);
    this.paintTimes.keepOnly(jobIds);
  }

  /**
   * Load no more pictures of other dreams.
   *
   * @param {string[]} jobIds
   */
  #keepOnly(jobIds) {
    for (const [jobId, { crossfade }] of this.#entries) {
      if (jobIds.includes(jobId)) continue;
      crossfade.cancel();
      this.#entries.delete(jobId);
    }
  }

  /**
   * Mark the dream that is shown large; return whether there are others.
   *
   * @param {string | undefined} jobId
   */
  mark(jobId) {
    for (const item of this.#items()) item.toggleAttribute("data-current", item.dataset.jobId === jobId);
    return this.#items().some((item) => item.dataset.jobId !== jobId);
  }

  #items() {
    return /** @type {HTMLElement[]} */ ([...this.list.children]);
  }

  /** @param {Dream} dream */
  #createItem(dream) {
    const item = create("li");
    item.dataset.jobId = dream.job_id;
    const crossfade = new Crossfade((image) => {
      image.alt = fill(this.texts.alt_dream, { title: dream.title });
      image.dataset.jobId = dream.job_id;
      image.dataset.dream = dream.dream;
      item.style.setProperty("--ratio", aspectRatio(image));
      fadeIn(item, image, 2 * FADE_DURATION);
      this.paintTimes.record(image, dream.job_id);
    });
    this.#entries.set(dream.job_id, { item, crossfade });
    crossfade.request({ source: pictureUrl(dream.thumb), jobId: dream.job_id, immediate: true });
    return item;
  }
}
