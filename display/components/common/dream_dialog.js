import { removeClip, showClip } from "./clip.js";
import { ComparisonSlider } from "./comparison_slider.js";
import { create, find } from "./elements.js";
import { fill, formatTime, formatUnit, formatVerdicts } from "./formatting.js";
import { pictureUrl } from "./picture_url.js";

/**
 * @typedef {import("./event_feed.js").Dream} Dream
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

const MARKUP = `
  <form method="dialog"><button class="close"></button></form>
  <div class="compare">
    <img class="dream" alt="">
    <img class="photo" alt="">
    <input type="range" min="0" max="100" value="50">
  </div>
  <div class="about">
    <h2 id="dream-title"></h2>
    <p class="verdict"></p>
    <video muted loop playsinline hidden></video>
    <dl></dl>
    <p><a class="download" download></a></p>
    <figure class="home" hidden><img><figcaption></figcaption></figure>
  </div>`;

/** One dream over its photo, with its clip, how it was made, and a QR code. Its style sheet is `dream_dialog.css`. */
export class DreamDialog {
  /** @type {Dream | undefined} */
  #dream;

  /** @param {import("./formatting.js").Texts} texts */
  constructor(texts) {
    this.texts = texts;
    this.dialog = create("dialog", { innerHTML: MARKUP });
    this.dialog.setAttribute("aria-labelledby", "dream-title");
    document.body.append(this.dialog);
    this.video = this.#find("video", HTMLVideoElement);
    this.slider = new ComparisonSlider(this.#find(".compare input", HTMLInputElement), this.#find(".compare"));
    this.#find(".close").textContent = "×";
    this.#find(".close").setAttribute("aria-label", texts.close);
    this.#find(".compare input").setAttribute("aria-label", texts.compare);
    this.#find(".download").textContent = texts.download;
    this.#find(".home figcaption").textContent = texts.take_home;
    this.dialog.addEventListener("close", () => this.#stop());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  /**
   * @template {Element} [E=HTMLElement]
   * @param {string} selector
   * @param {new () => E} [type]
   */
  #find(selector, type) {
    return find(selector, type, this.dialog);
  }

  /** @param {Dream} dream */
  async open(dream) {
    const { texts } = this;
    this.#dream = dream;
    const [source, alt] = [pictureUrl(dream.dream), fill(texts.alt_dream, { title: dream.title })];
    this.#find("h2").textContent = dream.title;
    Object.assign(this.#find(".compare .dream", HTMLImageElement), { src: source, alt });
    Object.assign(this.#find(".compare .photo", HTMLImageElement), { src: pictureUrl(dream.photo), alt: texts.alt_photo });
    const download = `${dream.recipe}-${dream.job_id.slice(0, 8)}.jpg`;
    Object.assign(this.#find(".download", HTMLAnchorElement), { href: source, download });
    this.slider.set(50);
    this.#find(".verdict").textContent = "";
    this.#find("dl").replaceChildren();
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

  close() {
    this.dialog.close();
  }

  /** @param {string} jobId */
  closeIfShown(jobId) {
    if (this.#dream?.job_id === jobId) this.close();
  }

  /** @param {Dream[]} dreams */
  closeUnlessAmong(dreams) {
    const shown = this.#dream;
    if (shown && !dreams.some((dream) => dream.job_id === shown.job_id)) this.close();
  }

  /**
   * Show the code that a phone can follow; the server has none if no phone could.
   *
   * @param {Dream} dream
   */
  #showQrCode(dream) {
    const figure = this.#find(".home");
    const code = this.#find(".home img", HTMLImageElement);
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
    this.#find(".verdict").textContent = formatVerdicts(texts, details.verdicts);
    const facts = [
      [texts.dreamt_at, formatTime(texts, dream.at, { dateStyle: "medium", timeStyle: "short" })],
      [texts.recipe, `${details.recipe} ${details.version}`],
      [texts.network, details.network],
      [texts.seed, details.seed],
      [texts.size, details.size.join(" × ")],
      [texts.took, formatUnit(texts, details.seconds, "second")],
    ];
    if (details.artworks.length > 0) facts.push([texts.artworks, details.artworks.join(", ")]);
    const lines = facts.flatMap(([name, fact]) => [create("dt", {}, String(name)), create("dd", {}, String(fact))]);
    this.#find("dl").replaceChildren(...lines);
  }

  #stop() {
    this.#dream = undefined;
    removeClip(this.video);
  }
}
