import { showClip } from "../common/clip.js";
import { ComparisonSlider } from "../common/comparison_slider.js";
import { create, find } from "../common/elements.js";
import { fill, formatTime, formatVerdicts } from "../common/formatting.js";
import { pictureUrl } from "../common/picture_url.js";

/**
 * @typedef {import("../common/event_feed.js").Dream} Dream
 *
 * What `/gallery/dreams/<job id>` answers.
 * @typedef {object} DreamDetails
 * @property {string} recipe
 * @property {number} version
 * @property {number} seed
 * @property {string} network
 * @property {string[]} artworks
 * @property {[number, number]} size
 * @property {number} seconds
 * @property {[string, number, number][]} verdicts
 */

/** One dream over its photo, with its clip, how it was made, and a QR code. */
export class DreamDialog {
  /** @type {Dream | undefined} */
  #dream;

  /** @param {import("../common/formatting.js").Texts} texts */
  constructor(texts) {
    this.texts = texts;
    this.dialog = find("dialog", HTMLDialogElement);
    this.video = find("video", HTMLVideoElement);
    this.slider = new ComparisonSlider(find(".compare input", HTMLInputElement), find(".compare"));
    find(".close").textContent = "×";
    find(".close").setAttribute("aria-label", texts.close);
    find(".compare input").setAttribute("aria-label", texts.compare);
    find(".download").textContent = texts.download;
    find(".home figcaption").textContent = texts.take_home;
    this.dialog.addEventListener("close", () => this.#stop());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  /** @param {Dream} dream */
  async open(dream) {
    const { texts } = this;
    this.#dream = dream;
    const [source, alt] = [pictureUrl(dream.dream), fill(texts.alt_dream, { title: dream.title })];
    find("#title").textContent = dream.title;
    Object.assign(find(".compare .dream", HTMLImageElement), { src: source, alt });
    Object.assign(find(".compare .photo", HTMLImageElement), { src: pictureUrl(dream.photo), alt: texts.alt_photo });
    const download = `${dream.recipe}-${dream.job_id.slice(0, 8)}.jpg`;
    Object.assign(find(".download", HTMLAnchorElement), { href: source, download });
    this.slider.set(50);
    find(".verdict").textContent = "";
    find("dl").replaceChildren();
    showClip(this.video, pictureUrl(dream.clip), texts.clip); // made some time after its dream
    this.#showQrCode(dream);
    this.dialog.showModal();
    this.slider.input.focus();
    try {
      const response = await fetch(`/gallery/dreams/${dream.job_id}`);
      const details = response.ok ? await response.json() : null;
      if (details && this.#dream === dream) this.#showDetails(dream, details);
    } catch {} // the pictures are what matters
  }

  /** @param {string} jobId */
  closeIfShown(jobId) {
    if (this.#dream?.job_id === jobId) this.dialog.close();
  }

  /**
   * Show the code that a phone can follow; the server has none if no phone could.
   *
   * @param {Dream} dream
   */
  #showQrCode(dream) {
    const figure = find(".home");
    const code = find(".home img", HTMLImageElement);
    code.alt = this.texts.qr_dream;
    code.onload = () => (figure.hidden = false);
    code.onerror = () => (figure.hidden = true);
    code.src = `/qr/${dream.job_id}.svg`;
  }

  /**
   * @param {Dream} dream
   * @param {DreamDetails} details
   */
  #showDetails(dream, details) {
    const { texts } = this;
    find(".verdict").textContent = formatVerdicts(texts, details.verdicts);
    const facts = [
      [texts.dreamt_at, formatTime(texts, dream.at, { dateStyle: "medium", timeStyle: "short" })],
      [texts.recipe, `${details.recipe} ${details.version}`],
      [texts.network, details.network],
      [texts.seed, details.seed],
      [texts.size, details.size.join(" × ")],
      [texts.took, fill(texts.seconds, { count: details.seconds.toFixed(1) })],
    ];
    if (details.artworks.length > 0) facts.push([texts.artworks, details.artworks.join(", ")]);
    const lines = facts.flatMap(([name, fact]) => [create("dt", {}, String(name)), create("dd", {}, String(fact))]);
    find("dl").replaceChildren(...lines);
  }

  // A video without a source loads and plays nothing.
  #stop() {
    this.#dream = undefined;
    this.video.removeAttribute("src");
    this.video.load();
  }
}
