import { systemClock } from "../common/clock.js";

/**
 * How a mirror is connected to the display: `open` once it has a painting, `full` if too many mirrors are open, `failed`
 * if the display cannot paint.
 *
 * @typedef {"closed" | "connecting" | "open" | "lost" | "full" | "failed"} SocketState
 */

// Codes with which the display closes a mirror; see `display/mirror/frame_route.py`.
/** @type {Record<number, SocketState>} */
const STATES_BY_CODE = { 1011: "failed", 1013: "full" };

// Milliseconds before the first and before later attempts to connect again.
const MIN_RETRY_AFTER = 500;
const MAX_RETRY_AFTER = 8_000;

// Milliseconds before a lost connection is reported: a hiccup is over before anyone need read about it.
const REPORT_LOSS_AFTER = 1_500;

// Milliseconds without an answer after which a connection is dead.
const DEAD_AFTER = 15_000;

/** A connection that turns frames into paintings, one at a time, and connects again by itself. */
export class FrameSocket {
  /** @type {SocketState} */
  state = "closed";
  /** @type {WebSocket | undefined} */
  #socket;
  #retryAfter = MIN_RETRY_AFTER;
  /** @type {unknown} */
  #retryTimer;
  /** @type {unknown} */
  #lossTimer;
  /** @type {unknown} */
  #deadTimer;

  /**
   * @param {string} path
   * @param {object} handlers
   * @param {(state: SocketState) => void} handlers.onChange
   * @param {() => void} handlers.onReady the first frame can be sent
   * @param {(painting: Blob) => void} handlers.onPainting
   * @param {object} options
   * @param {typeof WebSocket} [options.WebSocket]
   * @param {import("../common/clock.js").Clock} [options.clock]
   */
  constructor(path, { onChange, onReady, onPainting }, options = {}) {
    this.path = path;
    this.onChange = onChange;
    this.onReady = onReady;
    this.onPainting = onPainting;
    this.WebSocket = options.WebSocket ?? WebSocket;
    this.clock = options.clock ?? systemClock;
  }

  /** Connect, unless there is a connection or one is being made. */
  open() {
    if (this.#socket) return;
    this.clock.clearTimeout(this.#retryTimer);
    const socket = new this.WebSocket(this.path);
    this.#socket = socket;
    socket.binaryType = "blob";
    if (this.state === "closed") this.#change("connecting");
    socket.onopen = () => this.onReady();
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#lose(socket, code);
  }

  /** Close the connection, and make no other. */
  close() {
    this.#forget();
    this.#change("closed");
  }

  /**
   * Send a frame with the share of each style; its painting comes later.
   *
   * @param {Blob} frame
   * @param {Uint8Array} shares
   */
  send(frame, shares) {
    const socket = this.#socket;
    if (!socket || !this.isReady) return;
    socket.send(new Blob([/** @type {BlobPart} */ (shares), frame]));
    // A connection whose other end vanished reports no error.
    this.#deadTimer = this.clock.setTimeout(() => this.#lose(socket, 1006), DEAD_AFTER);
  }

  /** Whether a frame can be sent. */
  get isReady() {
    return this.#socket?.readyState === this.WebSocket.OPEN;
  }

  /** @param {Blob} painting */
  #receive(painting) {
    this.#retryAfter = MIN_RETRY_AFTER;
    this.clock.clearTimeout(this.#deadTimer);
    this.clock.clearTimeout(this.#lossTimer);
    this.#lossTimer = undefined;
    this.#change("open");
    this.onPainting(painting);
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   */
  #lose(socket, code) {
    if (socket !== this.#socket) return;
    const lossTimer = this.#lossTimer;
    this.#lossTimer = undefined;
    this.#forget();
    const state = STATES_BY_CODE[code];
    if (state) {
      this.clock.clearTimeout(lossTimer);
      this.#retryAfter = MAX_RETRY_AFTER / 2;
      this.#change(state);
    } else {
      this.#lossTimer = lossTimer ?? this.clock.setTimeout(() => this.#change("lost"), REPORT_LOSS_AFTER);
    }
    this.#retryTimer = this.clock.setTimeout(() => this.open(), this.#retryAfter);
    this.#retryAfter = Math.min(2 * this.#retryAfter, MAX_RETRY_AFTER);
  }

  #forget() {
    for (const timer of [this.#retryTimer, this.#lossTimer, this.#deadTimer]) this.clock.clearTimeout(timer);
    this.#lossTimer = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  /** @param {SocketState} state */
  #change(state) {
    if (state === this.state) return;
    this.state = state;
    this.onChange(state);
  }
}
