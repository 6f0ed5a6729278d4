import { find } from "../common/elements.js";
import { fill, formatVerdicts } from "../common/formatting.js";
import { aspectRatio } from "../common/image.js";
import { prefersReducedMotion } from "../common/motion.js";
import { pictureUrl } from "../common/picture_url.js";
import { showProgress } from "../common/progress_bar.js";
import { drawBackdrop } from "./backdrop.js";
import { Crossfade } from "./crossfade.js";
import { FADE_DURATION, fadeIn, fadeOut } from "./fade.js";
import { removeQrCode, showQrCode } from "./qr_code.js";

const MOVE_DURATION = 1_400;

/**
 * @typedef {import("../common/event_feed.js").Dream} Dream
 * @typedef {import("../common/event_feed.js").RunningJob} RunningJob
 */

/**
 * What is shown large: the newest picture of a job (object name `name`) while its dream emerges, or a finished dream.
 *
 * @typedef {{scene: "emerging", job: RunningJob, name: string}} EmergingScene
 * @typedef {{scene: "dream", job: Dream, name: string}} DreamScene
 * @typedef {import("./crossfade.js").Picture & (EmergingScene | DreamScene)} HeroPicture
 */

/** The large picture of the wall with its title, its progress, and beside a finished dream its photo and its QR code. */
export class Hero {
  /** @type {string | undefined} of the job whose picture is on the wall */
  jobId;
  /** @type {string | undefined} */
  #requestedKey;

  /**
   * @param {HTMLElement} root
   * @param {import("../common/formatting.js").Texts} texts
   * @param {import("./paint_times.js").PaintTimes} paintTimes
   * @param {() => void} onChange called when another picture is shown
   */
  constructor(root, texts, paintTimes, onChange) {
    this.root = root;
    this.texts = texts;
    this.paintTimes = paintTimes;
    this.onChange = onChange;
    /** @type {Crossfade<HeroPicture>} */
    this.crossfade = new Crossfade((image, picture) => this.#showPicture(image, picture));
    this.photoCrossfade = new Crossfade((image, { jobId }) => this.#showPhoto(image, jobId));
    this.#find(".dream figcaption").textContent = texts.dream;
    this.#find(".photo figcaption").textContent = texts.photo;
    this.#find(".home figcaption").textContent = texts.take_home;
  }

  /** @param {RunningJob} job */
  showRunning(job) {
    if (this.jobId === job.job_id) this.#showProgress(job.fraction);
    this.#request({ scene: "emerging", job, name: job.frame ?? job.photo });
  }

  /** @param {Dream} dream */
  showDream(dream) {
    this.#request({ scene: "dream", job: dream, name: dream.dream });
  }

  /** Load no more pictures. */
  close() {
    this.crossfade.cancel();
    this.photoCrossfade.cancel();
  }

  /**
   * Show no picture, neither its title nor its QR code, and load none.
   *
   * @param {"invitation" | "dark"} scene what the wall shows instead, "dark" until another picture is loaded
   */
  clear(scene = "invitation") {
    const places = [".dream .picture", ".photo .picture", ".backdrop", ".title", ".verdict"];
    for (const place of places) this.#find(place).replaceChildren();
    removeQrCode(this.root, "home");
    this.close();
    this.jobId = this.#requestedKey = undefined;
    this.root.dataset.scene = scene;
  }

  /** @param {string} selector */
  #find(selector) {
    return find(selector, HTMLElement, this.root);
  }

  /** @param {EmergingScene | DreamScene} content */
  #request(content) {
    const { scene, job, name } = content;
    const key = `${scene} ${job.job_id} ${name}`;
    if (key === this.#requestedKey) return;
    this.#requestedKey = key;
    // A finished dream waits for no frame that is still on its way.
    const immediate = scene === "dream";
    this.crossfade.request({ ...content, source: pictureUrl(name), jobId: job.job_id, immediate });
  }

  /**
   * @param {HTMLImageElement} image
   * @param {HeroPicture} picture
   */
  #showPicture(image, picture) {
    const { jobId, scene, job } = picture;
    const [figure, place] = [this.#find(".dream"), this.#find(".dream .picture")];
    const isOther = this.jobId !== jobId;
    const isMoved = !isOther && this.root.dataset.scene !== scene;
    const before = isMoved ? figure.getBoundingClientRect() : null;
    if (isOther) {
      for (const old of [place, this.#find(".photo .picture")]) fadeOut(old, this.root, FADE_DURATION);
    }
    if (isOther || isMoved) this.#arrange(image, picture);
    this.jobId = jobId;
    this.#showProgress(scene === "emerging" ? job.fraction : 0);
    this.#describe(image, picture);
    fadeIn(place, image, FADE_DURATION);
    fadeIn(this.#find(".backdrop"), drawBackdrop(image), 2 * FADE_DURATION);
    // The same picture moves to its place beside the photo; another one fades in while the old one fades out.
    if (before) moveFrom(figure, before);
    this.paintTimes.record(image, jobId);
    this.onChange();
  }

  /**
   * @param {HTMLImageElement} image
   * @param {HeroPicture} picture
   */
  #describe(image, { scene, job, name }) {
    image.alt = fill(this.texts[scene === "dream" ? "alt_dream" : "alt_frame"], { title: job.title });
    image.dataset.jobId = job.job_id;
    if (scene === "dream") image.dataset.dream = name;
    else if (job.frame === name) image.dataset.frame = name;
    else image.dataset.photo = name;
  }

  /**
   * Lay the wall out for a scene: the picture alone while it emerges, beside its photo when it is done.
   *
   * @param {HTMLImageElement} image
   * @param {HeroPicture} picture
   */
  #arrange(image, { scene, job }) {
    this.#find(".hero").style.setProperty("--ratio", aspectRatio(image));
    this.root.dataset.scene = scene;
    this.#find(".kicker").textContent = this.texts[scene === "dream" ? "dreamt" : "dreaming"];
    this.#find(".title").textContent = job.title;
    this.#find(".verdict").textContent = scene === "dream" ? formatVerdicts(this.texts, job.verdicts) : "";
    const [hidden, visible] = [{ opacity: 0 }, { opacity: 1 }];
    this.#find(".label").animate([hidden, visible], { duration: 2 * FADE_DURATION, easing: "ease-in" });
    if (scene === "emerging") return this.photoCrossfade.cancel();
    showQrCode(this.root, "home", job.job_id, this.texts.qr_dream, () => this.jobId === job.job_id);
    this.photoCrossfade.request({ source: pictureUrl(job.photo), jobId: job.job_id, immediate: true });
  }

  /**
   * @param {HTMLImageElement} image
   * @param {string} jobId
   */
  #showPhoto(image, jobId) {
    if (this.jobId !== jobId || this.root.dataset.scene !== "dream") return;
    this.#find(".hero").style.setProperty("--photo-ratio", aspectRatio(image));
    image.alt = this.texts.alt_photo;
    image.dataset.jobId = jobId;
    fadeIn(this.#find(".photo .picture"), image, 2 * FADE_DURATION);
  }

  /** @param {number} fraction */
  #showProgress(fraction) {
    showProgress(this.#find(".progress"), fraction, this.texts.progress);
  }
}

/**
 * Let a figure move from where it was to where it is now.
 *
 * @param {HTMLElement} figure
 * @param {DOMRect} before
 */
function moveFrom(figure, before) {
  const after = figure.getBoundingClientRect();
  if (prefersReducedMotion() || before.width === 0 || after.width === 0) return;
  const [x, y, scale] = [before.left - after.left, before.top - after.top, before.width / after.width];
  if (Math.abs(x) + Math.abs(y) < 2 && Math.abs(scale - 1) < 0.01) return;
  figure.animate(
    [
      { transformOrigin: "0 0", transform: `translate(${x}px, ${y}px) scale(${scale})` },
      { transformOrigin: "0 0", transform: "none" },
    ],
    { duration: MOVE_DURATION, easing: "cubic-bezier(0.6, 0, 0.1, 1)" },
  );
}
