import { create } from "../common/elements.js";
import { prefersReducedMotion } from "../common/motion.js";

// Pixels of the long side to which a painting is scaled smoothly; the browser scales the rest as it draws the page.
const SHOWN_SIDE = 1280;

// Milliseconds: the longest fade between two paintings. Whoever moves is seen twice meanwhile.
const MAX_FADE = 100;

// Quality of the JPEG that is sent, and pixels of which its sides are multiples, as `SIDE_MULTIPLE` in `shared/stylizer.py`.
const FRAME_QUALITY = 0.9;
const FRAME_MULTIPLE = 4;

// The display refuses narrower frames (`MAX_ASPECT` in `display/mirror/process.py`); on such a screen more is cut off.
const MAX_ASPECT = 3;

// Share of what is cut off a picture that is too high, at its upper edge: heads are above the middle.
const HEADROOM = 0.3;

/** Shows paintings, each of which fades in over the one before: two canvases that take turns. */
export class Painting {
  #shownAt = 0;
  #interval = MAX_FADE;
  /** How many were shown. */
  count = 0;

  /** @param {HTMLElement} element with two canvases */
  constructor(element) {
    this.element = element;
    this.canvases = /** @type {HTMLCanvasElement[]} */ ([...element.querySelectorAll("canvas")]);
  }

  /** @param {Blob} jpeg */
  async show(jpeg) {
    const picture = await createImageBitmap(jpeg);
    const [front] = (this.canvases = this.canvases.reverse());
    const scale = SHOWN_SIDE / Math.max(picture.width, picture.height);
    const [width, height] = [Math.round(scale * picture.width), Math.round(scale * picture.height)];
    if (front.width !== width || front.height !== height) Object.assign(front, { width, height });
    const context = /** @type {CanvasRenderingContext2D} */ (front.getContext("2d", { alpha: false }));
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, width, height);
    picture.close();
    this.#bringToFront(front);
    this.element.dataset.count = String(++this.count);
  }

  /** @param {HTMLCanvasElement} front */
  #bringToFront(front) {
    const now = performance.now();
    this.#interval += 0.2 * (Math.min(now - this.#shownAt, MAX_FADE) - this.#interval);
    this.#shownAt = now;
    front.style.zIndex = "1";
    this.canvases[1].style.zIndex = "0";
    if (!prefersReducedMotion()) front.animate({ opacity: [0, 1] }, { duration: 0.9 * this.#interval });
  }
}

/** Draws what the camera sees as the network gets it: as in a mirror, in the shape of the screen, and small. */
export class FrameCapture {
  #canvas = create("canvas");
  #context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d", { alpha: false, willReadFrequently: true }));

  /** @param {number} side pixels of the long side */
  constructor(side) {
    this.side = side;
  }

  /**
   * Return a JPEG of the part of the picture that fills the screen; null if the camera has none yet.
   *
   * @param {HTMLVideoElement} video
   * @param {boolean} isMirrored
   * @returns {Promise<Blob | null>}
   */
  async take(video, isMirrored) {
    if (!video.videoWidth) return null;
    const aspect = clampAspect(innerWidth / innerHeight);
    const crop = { width: Math.min(video.videoWidth, video.videoHeight * aspect), height: 0 };
    crop.height = crop.width / aspect;
    const scale = this.side / Math.max(crop.width, crop.height);
    const [width, height] = [crop.width, crop.height].map((length) => FRAME_MULTIPLE * Math.round((scale * length) / FRAME_MULTIPLE));
    Object.assign(this.#canvas, { width, height });
    if (isMirrored) this.#context.setTransform(-1, 0, 0, 1, width, 0);
    this.#context.imageSmoothingQuality = "medium";
    const [left, top] = [(video.videoWidth - crop.width) / 2, HEADROOM * (video.videoHeight - crop.height)];
    this.#context.drawImage(video, left, top, crop.width, crop.height, 0, 0, width, height);
    return new Promise((done) => this.#canvas.toBlob(done, "image/jpeg", FRAME_QUALITY));
  }
}

/** @param {number} aspect */
const clampAspect = (aspect) => Math.min(MAX_ASPECT, Math.max(1 / MAX_ASPECT, aspect));
