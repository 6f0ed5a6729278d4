import { systemClock } from "../common/clock.js";

/**
 * What a camera is doing; all but `asking` and `open` keep it from being shown.
 *
 * @typedef {"closed" | "asking" | "open" | "denied" | "missing" | "busy" | "insecure"} CameraState
 */

// Pixels that the camera is asked for: more than the network sees, less than would cost time. In its wide format a camera
// sees more to the left and right.
const WIDTH = 640;
const HEIGHT = 480;
const WIDE_HEIGHT = 360;
const WIDE_FROM = 1.5;

// Milliseconds until visitors are asked to allow the camera: browsers that know the answer open it sooner.
const ASK_AFTER = 800;

// Milliseconds until a camera that is missing or in use is tried again.
const RETRY_AFTER = 3_000;

/** The camera that looks at the visitor. It opens again by itself whenever that is possible. */
export class Camera {
  /** @type {CameraState} */
  state = "closed";
  /** @type {MediaStream | undefined} */
  #stream;
  /** @type {unknown} */
  #retryTimer;
  /** @type {unknown} */
  #askTimer;
  /** Changes with each start and stop, so that an answer to an earlier one is recognised. */
  #generation = 0;

  /**
   * @param {HTMLVideoElement} video
   * @param {(state: CameraState) => void} onChange
   * @param {import("../common/clock.js").Clock} clock
   */
  constructor(video, onChange, clock = systemClock) {
    this.video = video;
    this.onChange = onChange;
    this.clock = clock;
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#tryAgain());
    this.#followPermission();
  }

  /** Whether the picture is to be shown as in a mirror: not that of a camera which looks away from the visitor. */
  get isMirrored() {
    return this.#stream?.getVideoTracks()[0]?.getSettings().facingMode !== "environment";
  }

  /** Open the camera, and ask the visitor for it if need be. */
  async start() {
    this.#stop();
    const generation = this.#generation;
    if (!isSecureContext || !navigator.mediaDevices) {
      this.#change("insecure");
      return;
    }
    if (this.state === "closed") this.#askTimer = this.clock.setTimeout(() => this.#change("asking"), ASK_AFTER);
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: describeCamera(), audio: false });
      if (generation !== this.#generation) {
        for (const track of stream.getTracks()) track.stop();
        return;
      }
      await this.#show(stream);
      if (generation === this.#generation) this.#change("open");
    } catch (error) {
      if (generation === this.#generation) this.#fail(error instanceof DOMException ? error.name : "");
    }
  }

  /** Close the camera, so that its light goes out. */
  close() {
    this.#stop();
    this.#change("closed");
  }

  #stop() {
    this.#generation++;
    this.clock.clearTimeout(this.#retryTimer);
    this.clock.clearTimeout(this.#askTimer);
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = undefined;
    this.video.srcObject = null;
  }

  /** @param {MediaStream} stream */
  async #show(stream) {
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => this.#lose(stream));
    track.addEventListener("mute", () => this.#lose(stream));
    this.video.srcObject = stream;
    await this.video.play();
  }

  // The camera was unplugged, or another program has taken it.
  /** @param {MediaStream} stream */
  #lose(stream) {
    if (stream !== this.#stream) return;
    this.#stop();
    this.#fail("");
  }

  /** @param {string} name of the error; see the standard “Media Capture and Streams”, 10.2 */
  #fail(name) {
    if (name === "NotAllowedError" || name === "SecurityError") {
      this.#change("denied");
      return;
    }
    this.#change(name === "NotFoundError" ? "missing" : "busy");
    this.#retryTimer = this.clock.setTimeout(() => this.start(), RETRY_AFTER);
  }

  #tryAgain() {
    if (this.state === "missing" || this.state === "busy") this.start();
  }

  async #followPermission() {
    try {
      const permission = await navigator.permissions.query({ name: /** @type {PermissionName} */ ("camera") });
      permission.addEventListener("change", () => {
        if (this.state === "denied" && permission.state !== "denied") this.start();
      });
    } catch {
      // Some browsers do not tell; the page has a button.
    }
  }

  /** @param {CameraState} state */
  #change(state) {
    this.clock.clearTimeout(this.#askTimer);
    this.state = state;
    this.onChange(state);
  }
}

/** @returns {MediaTrackConstraints} the camera that is asked for */
function describeCamera() {
  const height = innerWidth / innerHeight > WIDE_FROM ? WIDE_HEIGHT : HEIGHT;
  // The browser would cut the picture to that size; the mirror does it where heads stay whole.
  const unchanged = /** @type {MediaTrackConstraints} */ ({ resizeMode: { ideal: "none" } });
  return { facingMode: "user", width: { ideal: WIDTH }, height: { ideal: height }, ...unchanged };
}
