import { create } from "../common/elements.js";
import { fill } from "../common/formatting.js";
import { pictureUrl } from "../common/picture_url.js";
import { showProgress } from "../common/progress_bar.js";
import { drawBackdrop } from "./backdrop.js";
import { Crossfade } from "./crossfade.js";
import { FADE_DURATION, fadeIn } from "./fade.js";
import { assignTiles, chooseTiling, MAX_TILES } from "./tiling.js";

/**
 * @typedef {import("../common/event_feed.js").Dream} Dream
 * @typedef {import("../common/event_feed.js").RunningJob} RunningJob
 */

// Jobs that run at a time may take half of the grid; the rest is for dreams that are done.
const MAX_RUNNING = MAX_TILES / 2;

/** Dreams side by side, those that emerge among them. */
export class Grid {
  /** @type {Map<string, Dream | RunningJob>} by job id, the most important ones first */
  #jobs = new Map();
  /** @type {Tile[]} */
  #tiles = [];

  /**
   * @param {HTMLElement} list
   * @param {import("../common/formatting.js").Texts} texts
   * @param {import("./paint_times.js").PaintTimes} paintTimes
   */
  constructor(list, texts, paintTimes) {
    this.list = list;
    this.texts = texts;
    this.paintTimes = paintTimes;
    list.setAttribute("aria-label", texts.gallery);
    this.resizing = new ResizeObserver(() => this.#draw());
    this.resizing.observe(list);
  }

  close() {
    this.resizing.disconnect();
    for (const tile of this.#tiles) tile.close();
  }

  /**
   * Show the jobs and dreams of a playlist, as many as find room. Those that find none appear when it is their turn.
   *
   * @param {import("./playlist.js").Playlist} playlist
   */
  show({ current, dreams, running }) {
    const emerging = [...running.values()].reverse().slice(0, MAX_RUNNING);
    const next = current?.kind === "dream" ? [current.dream] : [];
    this.#jobs = new Map([...emerging, ...next, ...dreams].map((job) => [job.job_id, job]));
    this.paintTimes.keepOnly([...this.#jobs.keys()]);
    this.#draw();
  }

  /**
   * Remove the pictures of all other jobs at once. The next `show` gives their tiles to others.
   *
   * @param {(jobId: string) => boolean} isKept
   */
  keepOnly(isKept) {
    for (const tile of this.#tiles) {
      if (!isKept(tile.item.dataset.jobId ?? "")) tile.clear();
    }
  }

  clear() {
    this.#jobs.clear();
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.list;
    const { columns, rows } = chooseTiling(width, height, this.#jobs.size);
    this.list.style.setProperty("--columns", String(columns));
    this.list.style.setProperty("--rows", String(rows));
    const jobIds = [...this.#jobs.keys()].slice(0, columns * rows);
    for (const tile of this.#tiles.splice(jobIds.length)) tile.close();
    const tiled = assignTiles(
      this.#tiles.map(({ jobId }) => jobId),
      jobIds,
    );
    tiled.forEach((jobId, index) => {
      this.#tiles[index] ??= this.#addTile();
      this.#tiles[index].show(/** @type {Dream | RunningJob} */ (this.#jobs.get(jobId)));
    });
  }

  #addTile() {
    const tile = new Tile(this.texts, this.paintTimes);
    this.list.append(tile.item);
    return tile;
  }
}

/** One picture of the grid, with its title. */
class Tile {
  jobId = "";
  #requestedName = "";

  /**
   * @param {import("../common/formatting.js").Texts} texts
   * @param {import("./paint_times.js").PaintTimes} paintTimes
   */
  constructor(texts, paintTimes) {
    this.texts = texts;
    this.paintTimes = paintTimes;
    this.backdrop = create("div", { className: "tile-backdrop", ariaHidden: "true" });
    this.picture = create("div", { className: "tile-picture" });
    this.title = create("p", { className: "tile-title" });
    this.progress = create("div", { className: "progress", role: "progressbar" }, create("i"));
    this.item = create("li", {}, this.backdrop, this.picture, this.title, this.progress);
    /** @type {Crossfade<import("./crossfade.js").Picture & {job: Dream | RunningJob, name: string}>} */
    this.crossfade = new Crossfade((image, { job, name }) => this.#showPicture(image, job, name));
  }

  /** Remove the tile, and load no more pictures for it. */
  close() {
    this.item.remove();
    this.crossfade.cancel();
  }

  /** Show nothing until the next picture is loaded. */
  clear() {
    for (const part of [this.picture, this.backdrop, this.title]) part.replaceChildren();
    this.item.removeAttribute("data-emerging");
    delete this.item.dataset.jobId;
  }

  /** @param {Dream | RunningJob} job */
  show(job) {
    const name = "dream" in job ? job.dream : (job.frame ?? job.photo);
    if ("fraction" in job && job.job_id === this.item.dataset.jobId) this.#showProgress(job.fraction);
    this.jobId = job.job_id;
    if (name === this.#requestedName) return;
    this.#requestedName = name;
    this.crossfade.request({ source: pictureUrl(name), jobId: job.job_id, immediate: "dream" in job, job, name });
  }

  /**
   * @param {HTMLImageElement} image
   * @param {Dream | RunningJob} job
   * @param {string} name
   */
  #showPicture(image, job, name) {
    const isDream = "dream" in job;
    image.alt = fill(this.texts[isDream ? "alt_dream" : "alt_frame"], { title: job.title });
    image.dataset.jobId = this.item.dataset.jobId = job.job_id;
    if (isDream) image.dataset.dream = name;
    else image.dataset.frame = name;
    this.item.toggleAttribute("data-emerging", !isDream);
    this.title.textContent = job.title;
    this.#showProgress(isDream ? 1 : job.fraction);
    fadeIn(this.picture, image, FADE_DURATION);
    fadeIn(this.backdrop, drawBackdrop(image), 2 * FADE_DURATION);
    this.paintTimes.record(image, job.job_id);
  }

  /** @param {number} fraction */
  #showProgress(fraction) {
    showProgress(this.progress, fraction, this.texts.progress);
  }
}
