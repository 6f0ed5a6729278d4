import { systemClock } from "./clock.js";

/**
 * A finished dream, as `Dream.as_json` in `display/state/dream_index.py` writes it. Pictures are object names, `at` is in
 * epoch seconds, and each verdict is a class with its probability in the photo and in the dream.
 *
 * @typedef {object} Dream
 * @property {string} job_id
 * @property {number} at
 * @property {string} day
 * @property {string} recipe
 * @property {string} title
 * @property {string} photo
 * @property {string} dream
 * @property {string} thumb
 * @property {string} clip
 * @property {[string, number, number][]} verdicts
 * @property {{network: string, photo: [number, number], dream: [number, number]} | null} place
 */

/**
 * A job that a worker processes, as `RunningJob` in `display/state/live_state.py`.
 *
 * @typedef {object} RunningJob
 * @property {string} job_id
 * @property {string} title
 * @property {string} photo
 * @property {string | null} frame the newest frame's object name
 * @property {number} fraction
 */

/**
 * The number of queued photos, and the estimated seconds until the last of them is dreamt; null if unknown.
 *
 * @typedef {{waiting?: number, seconds?: number | null}} QueueState
 */

/**
 * What a screen shows, as `shared/screens.py` has it.
 *
 * @typedef {{content: "newest" | "recipe" | "chosen" | "map", layout: "single" | "grid"}} ScreenState
 */

/**
 * @typedef {object} Snapshot
 * @property {Dream[]} dreams the newest, newest first
 * @property {number} count of all dreams in the gallery
 * @property {(RunningJob & {silent: number})[]} running with the seconds since the last event of each
 * @property {boolean} [connected] whether the display reaches the broker
 * @property {string} [build] of the display, as in `display/web/build.py`
 * @property {ScreenState} screen what the screen of this feed shows
 * @property {import("./appearance.js").Appearance} [appearance]
 */

/**
 * @typedef {{kind: "snapshot", body: Snapshot & QueueState}
 *   | {kind: "started" | "frame", body: RunningJob & QueueState}
 *   | {kind: "dream", body: Dream & {count: number} & QueueState}
 *   | {kind: "gone", body: {job_id: string, count: number} & QueueState}
 *   | {kind: "ended", body: {job_id: string} & QueueState}
 *   | {kind: "waiting", body: QueueState}
 *   | {kind: "broker", body: {connected: boolean}}
 *   | {kind: "appearance", body: import("./appearance.js").Appearance}
 *   | {kind: "heartbeat", body: Record<string, never>}} FeedEvent
 */

/**
 * The page that a feed is on: what it notes there outlives the feed, and ends when the page is loaded again.
 *
 * @typedef {{dataset: DOMStringMap, reload: () => void}} Page
 */

/** @type {FeedEvent["kind"][]} */
const EVENT_KINDS = ["snapshot", "started", "frame", "dream", "ended", "gone", "waiting", "broker", "appearance", "heartbeat"];

// Milliseconds. The server sends a heartbeat every 10 s; a connection that is silent for three of them is dead.
const DEAD_AFTER = 32_000;
const CHECK_INTERVAL = 5_000;
const REOPEN_AFTER = 2_000;

// Milliseconds before a lost connection is reported: a restart of the display is over before anyone need read about it.
const REPORT_LOSS_AFTER = 1_500;

/**
 * The events of the display, over one EventSource that is never given up. Every connection begins with a snapshot, so
 * no past events have to be requested: it holds the newest dreams. Pages that show older ones ask for these again. If the
 * display has become another version meanwhile, the page is loaded again.
 */
export class EventFeed {
  /** @type {EventSource | undefined} */
  #source;
  /** @type {unknown} */
  #lossTimer;
  /** @type {unknown} */
  #reopenTimer;
  /** @type {unknown} */
  #checkTimer;
  #lastMessageAt = 0;

  /**
   * @param {string} url
   * @param {(event: FeedEvent, eventId: string) => void} onEvent
   * @param {object} options
   * @param {(isConnected: boolean) => void} [options.onConnectionChange] also called again with the same value
   * @param {typeof EventSource} [options.EventSource]
   * @param {import("./clock.js").Clock} [options.clock]
   * @param {Page} [options.page]
   */
  constructor(url, onEvent, options = {}) {
    this.url = url;
    this.onEvent = onEvent;
    this.onConnectionChange = options.onConnectionChange ?? (() => {});
    this.EventSource = options.EventSource ?? EventSource;
    this.clock = options.clock ?? systemClock;
    this.page = options.page ?? { dataset: document.documentElement.dataset, reload: () => location.reload() };
    this.#open();
    this.#scheduleCheck();
  }

  close() {
    for (const timer of [this.#checkTimer, this.#lossTimer, this.#reopenTimer]) this.clock.clearTimeout(timer);
    this.#source?.close();
  }

  #open() {
    this.#source?.close();
    this.#lastMessageAt = this.clock.now();
    const source = new this.EventSource(this.url);
    for (const kind of EVENT_KINDS) source.addEventListener(kind, (message) => this.#receive(kind, message));
    source.onerror = () => this.#handleError(source);
    this.#source = source;
  }

  /** @param {EventSource} source */
  #handleError(source) {
    this.#scheduleLossReport();
    // An EventSource reconnects by itself, except after an answer that is no event stream, such as a proxy's error page.
    if (source.readyState === this.EventSource.CLOSED) {
      this.#reopenTimer ??= this.clock.setTimeout(() => {
        this.#reopenTimer = undefined;
        this.#open();
      }, REOPEN_AFTER);
    }
  }

  // The next message cancels the report.
  #scheduleLossReport() {
    this.#lossTimer ??= this.clock.setTimeout(() => this.onConnectionChange(false), REPORT_LOSS_AFTER);
  }

  // A connection whose other end vanished reports no error, and neither does the one that replaces it.
  #scheduleCheck() {
    this.#checkTimer = this.clock.setTimeout(() => {
      if (this.clock.now() - this.#lastMessageAt > DEAD_AFTER) {
        this.#scheduleLossReport();
        this.#open();
      }
      this.#scheduleCheck();
    }, CHECK_INTERVAL);
  }

  /**
   * @param {FeedEvent["kind"]} kind
   * @param {MessageEvent<string>} message
   */
  #receive(kind, message) {
    this.#lastMessageAt = this.clock.now();
    this.clock.clearTimeout(this.#lossTimer);
    this.#lossTimer = undefined;
    this.onConnectionChange(true);
    const body = JSON.parse(message.data);
    if (kind === "snapshot" && body.build) this.#checkBuild(body.build);
    this.onEvent(/** @type {FeedEvent} */ ({ kind, body }), message.lastEventId);
  }

  // The build of the page is that of its first snapshot, so a page that was loaded again is never outdated at once.
  /** @param {string} build */
  #checkBuild(build) {
    const { dataset } = this.page;
    dataset.build ??= build;
    if (dataset.build !== build) this.page.reload();
  }
}
