import { followAppearance, showBrand } from "../common/appearance.js";
import { sleep } from "../common/clock.js";
import { create, find, readPageData } from "../common/elements.js";
import { EventFeed } from "../common/event_feed.js";
import { fill } from "../common/formatting.js";
import { prefersReducedMotion } from "../common/motion.js";
import { Camera } from "./camera.js";
import { FrameSocket } from "./frame_socket.js";
import { FrameCapture, Painting } from "./painting.js";
import { StyleCycle, findStyle, readInterval } from "./style_cycle.js";

/** @type {import("../common/formatting.js").Texts} */
const texts = readPageData("texts");

/** @type {string[]} */
const styles = readPageData("styles");

const query = new URLSearchParams(location.search);

// Milliseconds: see `CycleTimes`.
const ROTATE_EVERY = 12_000;
const FADE_FOR = 1_500;
const HOLD_FOR = 60_000;

// Milliseconds between two frames, at least: more than 20 in a second are not seen, and take time from dreaming.
const FRAME_INTERVAL = 50;

// Milliseconds until a camera that has no picture yet is looked at again.
const PICTURE_INTERVAL = 50;

// Milliseconds without a move after which the pointer and the arrows are hidden.
const IDLE_AFTER = 3_000;

/** A screen in which visitors see themselves painted. */
class Mirror {
  #isSending = false;
  #sentAt = 0;
  /** @type {number | undefined} */
  #idleTimer;
  /** @type {WakeLockSentinel | undefined} */
  #wakeLock;

  constructor() {
    document.title = `${texts.mirror} · ${readPageData("appearance").title || texts.name}`;
    showBrand(find(".brand"), readPageData("appearance"));
    new EventFeed("/feed", followAppearance);
    const video = create("video", { className: "camera", muted: true, playsInline: true, ariaHidden: "true", tabIndex: -1 });
    document.body.append(video);
    this.cycle = this.#createCycle();
    this.capture = new FrameCapture(readPageData("side"));
    this.painting = new Painting(find(".painting"));
    this.camera = new Camera(video, () => this.#update());
    this.socket = new FrameSocket("/mirror/frames", {
      onChange: () => this.#update(),
      onReady: () => this.#sendFrame(),
      onPainting: (painting) => this.#show(painting),
    });
    this.#setUpChoice();
    document.addEventListener("visibilitychange", () => this.#followVisibility());
    this.#followVisibility();
  }

  #createCycle() {
    const wanted = query.get("style") ?? "";
    const pinned = findStyle(styles, wanted);
    if (wanted && pinned < 0) {
      find(".notice").textContent = fill(texts.mirror_unknown_style, { name: wanted, styles: styles.join(", ") });
    }
    // For those who asked for less motion nothing changes by itself, unless the link says so, and nothing fades.
    const usual = prefersReducedMotion() ? 0 : ROTATE_EVERY;
    const fadeFor = prefersReducedMotion() ? 0 : FADE_FOR;
    const rotateEvery = pinned < 0 && styles.length > 1 ? readInterval(query.get("rotate"), usual) : 0;
    const times = { rotateEvery, fadeFor, holdFor: HOLD_FOR };
    return new StyleCycle(styles.length, times, performance.now(), Math.max(0, pinned));
  }

  #setUpChoice() {
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    const [previous, next] = [find(".previous"), find(".next")];
    previous.ariaLabel = texts.mirror_previous;
    next.ariaLabel = texts.mirror_next;
    previous.addEventListener("click", () => this.#choose(-1));
    next.addEventListener("click", () => this.#choose(1));
    find(".painting").addEventListener("click", () => this.#choose(1));
    find(".retry").textContent = texts.mirror_retry;
    find(".retry").addEventListener("click", () => location.reload());
    addEventListener("keydown", ({ key }) => {
      if (key in steps) this.#choose(steps[/** @type {keyof typeof steps} */ (key)]);
    });
    for (const kind of ["pointermove", "pointerdown", "keydown"]) addEventListener(kind, () => this.#showPointer());
    this.#showPointer();
  }

  /** @param {number} step */
  #choose(step) {
    this.cycle.choose(step, performance.now());
    find(".notice").textContent = "";
    this.#nameStyle();
  }

  #showPointer() {
    delete document.body.dataset.idle;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => (document.body.dataset.idle = ""), IDLE_AFTER);
  }

  // A page that is not seen leaves the camera to others.
  #followVisibility() {
    if (document.visibilityState === "visible") {
      this.camera.start();
      this.#stayAwake();
    } else {
      this.camera.close();
    }
  }

  async #stayAwake() {
    if (this.#wakeLock && !this.#wakeLock.released) return;
    try {
      this.#wakeLock = await navigator.wakeLock?.request("screen");
    } catch {
      // The battery is low, or the page is not seen.
    }
  }

  /** Show what camera and connection allow, and begin to send frames if both are open. */
  #update() {
    if (this.camera.state === "open") this.socket.open();
    else this.socket.close();
    const message = this.#describeTrouble();
    const isPainted = this.painting.count > 0 && (!message || this.socket.state === "lost");
    document.body.dataset.scene = isPainted ? "mirror" : "message";
    find(".painting").hidden = find(".choice").hidden = !isPainted;
    find(".painting").toggleAttribute("data-stale", Boolean(message));
    find(".message p").textContent = message;
    find(".retry").hidden = this.camera.state !== "denied";
  }

  /** @returns {string} what keeps the visitor from being painted; empty if nothing does */
  #describeTrouble() {
    const camera = {
      asking: texts.mirror_allow,
      denied: texts.mirror_denied,
      missing: texts.mirror_missing,
      busy: texts.mirror_busy,
      insecure: texts.mirror_insecure,
      closed: "",
      open: "",
    };
    const socket = {
      lost: texts.mirror_lost,
      full: fill(texts.mirror_full, { count: readPageData("maxMirrors") }),
      failed: texts.mirror_failed,
      connecting: "",
      closed: "",
      open: "",
    };
    return camera[this.camera.state] || socket[this.socket.state];
  }

  async #sendFrame() {
    if (this.#isSending) return;
    this.#isSending = true;
    await sleep(Math.max(0, this.#sentAt + FRAME_INTERVAL - performance.now()));
    let frame = null;
    while (!frame && this.socket.isReady) {
      frame = await this.capture.take(this.camera.video, this.camera.isMirrored);
      if (!frame) await sleep(PICTURE_INTERVAL);
    }
    this.#sentAt = performance.now();
    if (frame) this.socket.send(frame, this.cycle.advance(this.#sentAt));
    this.#isSending = false;
  }

  /** @param {Blob} painting */
  async #show(painting) {
    const isFirst = this.painting.count === 0;
    this.#sendFrame();
    await this.painting.show(painting);
    this.#nameStyle();
    if (isFirst || document.body.dataset.scene !== "mirror") this.#update();
  }

  #nameStyle() {
    const name = styles[this.cycle.index];
    if (find(".style").textContent === name) return;
    find(".style").textContent = name;
    find(".painting").ariaLabel = fill(texts.mirror_alt, { style: name });
  }
}

new Mirror();
