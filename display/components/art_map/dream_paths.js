import { fill, formatTime } from "../common/formatting.js";
import { pictureUrl } from "../common/picture_url.js";

const SVG = "http://www.w3.org/2000/svg";

// Pixels of a dream on the map, and of the one that is highlighted; its photo is smaller.
const SIZE = 56;
const HIGHLIGHTED_SIZE = 76;
const PHOTO_SCALE = 0.7;

/** @typedef {import("../common/event_feed.js").Dream} Dream */

/** Dreams above the map: for each its photo, the dream, and a line from one to the other. */
export class DreamPaths {
  /**
   * @param {SVGSVGElement} svg
   * @param {import("../common/formatting.js").Texts} texts
   * @param {{onOpen: (dream: Dream) => void, onFocus: (dream: Dream) => void}} options
   */
  constructor(svg, texts, { onOpen, onFocus }) {
    this.svg = svg;
    this.texts = texts;
    this.onOpen = onOpen;
    this.onFocus = onFocus;
    svg.setAttribute("aria-label", texts.gallery);
  }

  /**
   * @param {Dream[]} dreams newest first
   * @param {string | null | undefined} highlighted a job id
   * @param {(point: [number, number]) => [number, number]} toPixels from a place on the map to one on the page
   */
  show(dreams, highlighted, toPixels) {
    const known = new Map(this.#paths().map((path) => [path.dataset.jobId, path]));
    // What comes later lies on top: the newest, or the one that is highlighted.
    const shown = [...dreams].reverse();
    shown.sort((dream, other) => Number(dream.job_id === highlighted) - Number(other.job_id === highlighted));
    const paths = shown.map((dream) => known.get(dream.job_id) ?? this.#createPath(dream));
    this.#replacePaths(paths);
    shown.forEach(({ job_id, place }, index) => {
      if (!place) return;
      const path = paths[index];
      const isHighlighted = job_id === highlighted;
      path.classList.toggle("newest", isHighlighted);
      movePath(path, toPixels(place.photo), toPixels(place.dream), isHighlighted ? HIGHLIGHTED_SIZE : SIZE);
    });
  }

  #paths() {
    return /** @type {SVGGElement[]} */ ([...this.svg.children]);
  }

  // Elements that are moved lose the focus.
  /** @param {SVGGElement[]} paths */
  #replacePaths(paths) {
    const { children } = this.svg;
    if (paths.length === children.length && paths.every((path, index) => children[index] === path)) return;
    const focused = document.activeElement;
    this.svg.replaceChildren(...paths);
    if (focused instanceof SVGElement && this.svg.contains(focused)) focused.focus({ preventScroll: true });
  }

  /** @param {Dream} dream */
  #createPath(dream) {
    const path = document.createElementNS(SVG, "g");
    path.dataset.jobId = dream.job_id;
    const time = formatTime(this.texts, dream.at, { timeStyle: "short" });
    const button = createPicture(dream.thumb);
    const label = `${fill(this.texts.alt_dream, { title: dream.title })}, ${time}`;
    setAttributes(button, { role: "button", tabindex: 0, "aria-label": label });
    button.addEventListener("click", () => this.onOpen(dream));
    button.addEventListener("focus", () => button.matches(":focus-visible") && this.onFocus(dream));
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault(); // a space scrolls
      this.onOpen(dream);
    });
    const photo = createPicture(dream.photo);
    setAttributes(photo, { role: "img", "aria-label": this.texts.alt_photo });
    path.append(document.createElementNS(SVG, "line"), photo, button);
    return path;
  }
}

/** @param {string} name an object name */
function createPicture(name) {
  const image = document.createElementNS(SVG, "image");
  setAttributes(image, { href: pictureUrl(name), preserveAspectRatio: "xMidYMid slice" });
  const picture = document.createElementNS(SVG, "g");
  picture.append(image, document.createElementNS(SVG, "rect"));
  return picture;
}

/**
 * @param {SVGGElement} path
 * @param {[number, number]} photoAt
 * @param {[number, number]} dreamAt
 * @param {number} size
 */
function movePath(path, photoAt, dreamAt, size) {
  const [line, photo, dream] = path.children;
  setAttributes(line, { x1: photoAt[0], y1: photoAt[1], x2: dreamAt[0], y2: dreamAt[1] });
  movePicture(photo, photoAt, PHOTO_SCALE * size);
  movePicture(dream, dreamAt, size);
}

/**
 * @param {Element} picture
 * @param {[number, number]} centre
 * @param {number} size
 */
function movePicture(picture, [x, y], size) {
  for (const element of picture.children) {
    setAttributes(element, { x: x - size / 2, y: y - size / 2, width: size, height: size });
  }
}

/**
 * @param {Element} element
 * @param {Record<string, string | number>} attributes
 */
function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}
