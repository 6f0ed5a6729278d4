import { showBrand } from "../common/appearance.js";
import { removeClip, showClip } from "../common/clip.js";
import { sleep } from "../common/clock.js";
import { ComparisonSlider } from "../common/comparison_slider.js";
import { create, find, readPageData } from "../common/elements.js";
import { fill, formatQueuePosition, formatTime } from "../common/formatting.js";
import { aspectRatio, loadImage } from "../common/image.js";
import { prefersReducedMotion } from "../common/motion.js";
import { withLanguage } from "../common/navigation.js";
import { showProgress } from "../common/progress_bar.js";
import { removeClipFormats, showClipFormats } from "./clip_formats.js";
import { copyText } from "./clipboard.js";
import { PrintForm } from "./print_form.js";

/**
 * What `/t/<token>/state` answers; times are in seconds since the epoch. See `describe_link` in
 * `display/pages/share_state.py`.
 *
 * @typedef {{ends: number}} Expiry
 * @typedef {{state: "waiting", ahead?: number, seconds?: number | null} & Expiry} WaitingState
 * @typedef {{state: "emerging", title: string, frame: string | null, fraction: number} & Expiry} EmergingState
 * @typedef {{state: "done", title: string, recipe: string, job: string} & Expiry} DoneState
 * @typedef {{code: string, values: Record<string, number>}} RefusalCause
 * @typedef {{state: "refused", reason: string, cause: RefusalCause | null} & Expiry} RefusedState
 * @typedef {{state: "received" | "failed" | "held" | "gone" | "nothing" | "away"} & Expiry} OtherState
 * @typedef {{state: "expired", ends: number}} ExpiredState
 * @typedef {{state: "wrong"}} WrongState
 * @typedef {WaitingState | EmergingState | DoneState | RefusedState | OtherState | ExpiredState | WrongState} LinkState
 */

/** @type {import("../common/formatting.js").Texts} */
const texts = readPageData("texts");

/** @type {import("../common/appearance.js").Appearance} */
const appearance = readPageData("appearance");

const eventName = appearance.title || texts.name;

/** What stands above a message: the event's name, unless the top of the page has it already. */
const sender = appearance.title || appearance.logo ? "" : eventName;

/** The address of this page, without a slash at its end. */
const page = location.pathname.replace(/\/$/, "");

/**
 * Milliseconds until a state is requested again; those that are not listed never change. A dream may be hidden or deleted.
 *
 * @type {Partial<Record<LinkState["state"], number>>}
 */
const POLL_INTERVALS = {
  received: 1_000,
  waiting: 1_000,
  emerging: 700,
  done: 10_000,
  held: 2_000,
  away: 2_000,
  failed: 5_000,
  nothing: 3_000,
  gone: 5_000,
};

// Milliseconds.
const RETRY_AFTER = 3_000;
const FADE_DURATION = 700;

// Milliseconds between the attempts to load the clip, which is made some time after its dream, that of a video minutes.
const CLIP_RETRIES = [4_000, 10_000, 30_000, 60_000, 120_000, 300_000, 300_000];

// How the upload page's address of this page ends.
const SENT_HASH = "#sent";

/** One dream on a phone: how its photo is getting on, then the dream, to look at, to save and to share. */
class SharePage {
  /** @type {string | undefined} */
  #requestedPicture;
  /** @type {DoneState | undefined} the dream that is shown */
  #shown;
  /** @type {File | undefined} the dream, as soon as it can be shared */
  #file;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #nextClip;

  constructor() {
    showBrand(find(".brand"), appearance);
    this.picture = find(".picture");
    this.slider = new ComparisonSlider(find(".comparison input", HTMLInputElement), this.picture);
    this.slider.input.setAttribute("aria-label", texts.compare);
    find(".share").textContent = texts.share;
    find(".share").addEventListener("click", () => this.#shown && share(this.#shown.title, this.#file));
    find(".download").textContent = texts.download;
    find(".download").addEventListener("click", () => report("saved"));
    this.printForm = new PrintForm(find("form.print", HTMLFormElement), `${page}/print`, texts);
    this.video = find("video", HTMLVideoElement);
    this.video.addEventListener("loadeddata", () => this.#shown && showClipFormats(page, fileStem(this.#shown), texts));
    Object.assign(find(".mine", HTMLAnchorElement), { href: withLanguage("/mine"), textContent: texts.mine });
    this.#showState(readPageData("state"));
    if (isOpenedByLink()) report("opened");
  }

  // Poll as long as something may change. A phone that was locked continues when it is unlocked.
  async #poll() {
    try {
      const response = await fetch(`${page}/state`);
      if (!response.ok) throw new Error(`Status ${response.status}`);
      const state = await response.json();
      const notice = find(".notice");
      if (notice.textContent === texts.reconnecting) notice.textContent = ""; // and no other one, as a link to copy
      this.#showState(state);
    } catch {
      find(".notice").textContent = texts.reconnecting;
      setTimeout(() => this.#poll(), RETRY_AFTER);
    }
  }

  /** @param {LinkState} state */
  #showState(state) {
    const interval = POLL_INTERVALS[state.state];
    if (interval !== undefined) setTimeout(() => this.#poll(), interval);
    // A display that has just started does not know the dream yet.
    if (this.#shown && state.state === "away") return;
    const isDone = state.state === "done";
    document.body.dataset.shows = state.state;
    showHeader(state);
    const hasPicture = ["received", "waiting", "emerging", "done"].includes(state.state);
    find(".comparison").hidden = !hasPicture;
    find(".progress").hidden = state.state !== "emerging";
    if (!isDone) this.#removeDream();
    if (!hasPicture) this.#removePicture();
    find(".actions").hidden = !isDone;
    find(".until").textContent = isDone ? fill(texts.until, { date: formatDay(state.ends) }) : "";
    if (state.state === "emerging") this.#showEmerging(state);
    if (state.state === "done" && !this.#shown) this.#showDone(state);
  }

  /** @param {EmergingState} state */
  #showEmerging({ title, frame, fraction }) {
    showProgress(find(".progress"), fraction, texts.progress);
    const number = frame?.match(/(\d+)\.jpg$/)?.[1];
    if (number) this.#showPicture(`frame-${number}.jpg`, fill(texts.alt_frame, { title }));
    else this.#showPicture("photo.jpg", texts.alt_photo);
  }

  /**
   * Let a picture fade in over the last one. Return false if it cannot be loaded, or another one was requested meanwhile.
   *
   * @param {string} name
   * @param {string} alt
   */
  async #showPicture(name, alt) {
    if (this.#requestedPicture === name) return true;
    this.#requestedPicture = name;
    const image = await loadImage(`${page}/${name}`).catch(() => null);
    if (this.#requestedPicture !== name) return false;
    if (!image) {
      this.#requestedPicture = undefined;
      return false;
    }
    image.alt = alt;
    image.dataset.name = name;
    const { picture } = this;
    picture.style.setProperty("--ratio", aspectRatio(image));
    picture.append(image);
    const duration = prefersReducedMotion() ? 1 : FADE_DURATION;
    image.animate([{ opacity: 0 }, { opacity: 1 }], { duration }).onfinish = () => {
      if (image.parentNode !== picture) return;
      const covered = [...picture.children].slice(0, [...picture.children].indexOf(image));
      for (const old of covered) old.remove();
    };
    return true;
  }

  /** @param {DoneState} state */
  async #showDone(state) {
    this.#shown = state;
    this.slider.input.hidden = false;
    const fileName = `${fileStem(state)}.jpg`;
    Object.assign(find(".download", HTMLAnchorElement), { href: `${page}/dream.jpg`, download: fileName });
    const alt = fill(texts.alt_dream, { title: state.title });
    while (this.#shown === state && !(await this.#showPicture("dream.jpg", alt))) await sleep(RETRY_AFTER);
    if (this.#shown !== state) return;
    this.#showPhoto(state);
    this.#loadClip();
    this.printForm.open();
    const file = await loadShareableFile(fileName);
    if (this.#shown === state) this.#file = file;
  }

  // The dream was hidden or deleted, or its link has expired.
  #removeDream() {
    if (!this.#shown) return;
    this.#shown = this.#file = undefined;
    this.slider.input.hidden = true;
    this.#removePicture();
    clearTimeout(this.#nextClip);
    removeClip(this.video);
    removeClipFormats();
    this.printForm.close();
    find(".notice").textContent = "";
  }

  #removePicture() {
    this.#requestedPicture = undefined;
    this.picture.replaceChildren();
  }

  /**
   * The photo lies over its dream; without a photo there is nothing to compare.
   *
   * @param {DoneState} state
   */
  async #showPhoto(state) {
    const photo = create("img", { src: `${page}/photo.jpg`, alt: texts.alt_photo, className: "photo" });
    await photo.decode().catch(() => {});
    if (this.#shown !== state) return;
    if (photo.naturalWidth === 0) {
      this.slider.input.hidden = true;
      return;
    }
    this.picture.append(photo);
    this.slider.update();
  }

  #loadClip(attempt = 0) {
    showClip(this.video, `${page}/clip.mp4`, texts.clip, () => {
      if (attempt >= CLIP_RETRIES.length) return;
      this.#nextClip = setTimeout(() => this.#loadClip(attempt + 1), CLIP_RETRIES[attempt]);
    });
  }
}

/**
 * Return the name under which a dream is saved, without its ending.
 *
 * @param {DoneState} state
 */
const fileStem = ({ recipe, job }) => `${recipe}-${job}`;

/** Return whether a link was followed: not by the phone that has just sent the photo, nor by one that loads again. */
function isOpenedByLink() {
  const [navigation] = performance.getEntriesByType("navigation");
  const isLoadedAgain = navigation instanceof PerformanceNavigationTiming && navigation.type !== "navigate";
  const hasSentPhoto = location.hash === SENT_HASH;
  if (hasSentPhoto) history.replaceState(null, "", location.pathname + location.search); // what may be passed on
  return !hasSentPhoto && !isLoadedAgain;
}

/**
 * Report what happened, for the display to count. Nothing about the guest is sent, and nothing is kept on the phone.
 *
 * @param {"opened" | "saved"} event
 */
function report(event) {
  fetch(`${page}/${event}`, { method: "POST", keepalive: true }).catch(() => {});
}

/** @param {number} seconds since the epoch */
const formatDay = (seconds) => formatTime(texts, seconds, { dateStyle: "long" });

/** @param {LinkState} state */
function showHeader(state) {
  const [kicker, title, more] = describeState(state);
  for (const [selector, text] of [[".kicker", kicker], ["h1", title], [".more", more]]) {
    const element = find(selector);
    if (element.textContent !== text) element.textContent = text; // or screen readers would read it again
  }
  document.title = `${title} · ${eventName}`;
}

/**
 * Return what is above the title, the title, and what is below it.
 *
 * @param {LinkState} state
 * @returns {[string, string, string]}
 */
function describeState(state) {
  switch (state.state) {
    case "received":
      return [sender, texts.own_received, ""];
    case "waiting":
      return [sender, texts.own_waiting, describeWait(state)];
    case "emerging":
      return [texts.dreaming, state.title, ""];
    case "done":
      return [texts.dreamt, state.title, texts.made_with_ai];
    case "refused":
      return [sender, describeRefusal(state), ""];
    case "failed":
      return [sender, texts.own_failed, ""];
    case "expired":
      return [sender, texts.link_expired, fill(texts.link_expired_more, { date: formatDay(state.ends) })];
    default:
      return [sender, texts[`link_${state.state}`], texts[`link_${state.state}_more`]];
  }
}

/**
 * Say why a photo was refused, in English if a newer producer has a reason that this page does not know.
 *
 * @param {RefusedState} state
 */
function describeRefusal({ cause, reason }) {
  const text = cause && texts[`refused_${cause.code}`];
  return text ? fill(text, cause.values) : fill(texts.own_refused, { reason });
}

/** @param {WaitingState} state */
const describeWait = ({ ahead, seconds }) =>
  ahead === undefined || seconds === undefined || seconds === null ? "" : formatQueuePosition(texts, ahead, seconds);

/**
 * Return the dream as a file if this browser can share files. It is loaded before it is needed, because a browser shares
 * only at once after a click.
 *
 * @param {string} name
 * @returns {Promise<File | undefined>}
 */
async function loadShareableFile(name) {
  if (!navigator.canShare) return undefined;
  try {
    const data = await (await fetch(`${page}/dream.jpg`)).blob();
    const file = new File([data], name, { type: "image/jpeg" });
    return navigator.canShare({ files: [file] }) ? file : undefined;
  } catch {
    return undefined; // the link alone is shared
  }
}

/**
 * Share link and picture as the browser can; if it cannot, copy the link, and if that fails, show it.
 *
 * @param {string} title
 * @param {File | undefined} file
 */
async function share(title, file) {
  const link = { title: `${title} · ${eventName}`, url: location.origin + page };
  try {
    if (navigator.share) return await navigator.share(file ? { ...link, files: [file] } : link);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return; // the guest closed the dialog
  }
  find(".notice").textContent = (await copyText(link.url)) ? texts.copied : link.url;
}

new SharePage();
