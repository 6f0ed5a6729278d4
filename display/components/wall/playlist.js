/**
 * @typedef {import("../common/event_feed.js").Dream} Dream
 * @typedef {import("../common/event_feed.js").RunningJob} RunningJob
 * @typedef {import("../common/event_feed.js").FeedEvent} FeedEvent
 */

/**
 * What the wall shows large: a job while its dream emerges, or a dream that is done. Times are in milliseconds: a dream
 * is shown since `since`, and not replaced before `until`.
 *
 * @typedef {{kind: "emerging", jobId: string}} EmergingItem
 * @typedef {{kind: "dream", dream: Dream, since: number, until: number}} DreamItem
 */

// How many dreams are kept, and how many of those that ended unseen are still shown afterwards.
const MAX_DREAMS = 24;
const MAX_UNSEEN = 12;

// Milliseconds that a dream stays before another job replaces it.
const MIN_DREAM_DURATION = 4_000;

// Milliseconds without an event after which a job gives way to another one that had one since …
const STALLED_AFTER = 10_000;
// … and after which it counts as lost: the wall does not wait for it any longer.
const LOST_AFTER = 60_000;

/** Decides which job or dream the wall shows large. It knows neither page nor clock: every time is passed in. */
export class Playlist {
  /** @type {Dream[]} newest first */
  dreams = [];
  /** @type {Map<string, RunningJob & {heardAt: number}>} by job id, in the order in which they were started */
  running = new Map();
  /** How many photos wait. */
  waiting = 0;
  /** @type {number | null} seconds until the last photo that waits has its dream; null if nobody knows */
  seconds = null;
  /** @type {EmergingItem | DreamItem | null} */
  current = null;
  /** @type {Dream[]} those that ended while the wall showed something else, oldest first */
  #unseen = [];
  #lastEventAt = -Infinity;

  /**
   * @param {object} options
   * @param {number} options.idleAfter milliseconds without an event after which the wall goes through its dreams
   * @param {number} options.rotateEvery milliseconds that each of them is then shown
   */
  constructor({ idleAfter, rotateEvery }) {
    this.idleAfter = idleAfter;
    this.rotateEvery = rotateEvery;
  }

  /**
   * Take in one event of the feed.
   *
   * @param {FeedEvent} event
   * @param {number} now
   */
  apply({ kind, body }, now) {
    if (kind === "heartbeat" || kind === "broker" || kind === "appearance") return;
    this.#lastEventAt = now;
    if (body.waiting !== undefined) {
      this.waiting = body.waiting;
      this.seconds = body.seconds ?? null;
    }
    switch (kind) {
      case "snapshot":
        this.#restore(body, now);
        break;
      case "started":
        this.running.delete(body.job_id); // a job that starts again is the newest again
        this.#updateRunning(body, now);
        break;
      case "frame":
        this.#updateRunning(body, now);
        break;
      case "dream":
        this.running.delete(body.job_id);
        this.#addDream(body);
        break;
      case "ended":
        this.running.delete(body.job_id);
        break;
      case "gone":
        this.running.delete(body.job_id);
        this.#keepDreams((dream) => dream.job_id !== body.job_id);
        break;
    }
  }

  /**
   * Choose what is current; return when to choose again, or null if only an event can change the choice.
   *
   * @param {number} now
   * @returns {number | null}
   */
  choose(now) {
    for (const job of [...this.running.values()]) {
      if (now - job.heardAt >= LOST_AFTER) this.running.delete(job.job_id);
    }
    const { current } = this;
    const active = [...this.running.values()].filter((job) => now - job.heardAt < STALLED_AFTER);
    if (current?.kind === "emerging") {
      const job = this.running.get(current.jobId);
      if (job) return this.#follow(job, active, now);
      const dream = this.dreams.find(({ job_id }) => job_id === current.jobId);
      if (dream) return this.#reveal(dream, now);
    }
    if (current?.kind === "dream" && now < current.until) return current.until;
    const next = active.at(-1) ?? [...this.running.values()].at(-1);
    if (next) {
      this.current = { kind: "emerging", jobId: next.job_id };
      return next.heardAt + STALLED_AFTER;
    }
    if (this.#unseen.length > 0) return this.#reveal(this.#unseen[0], now);
    if (current?.kind !== "dream") {
      this.current = this.dreams.length > 0 ? { kind: "dream", dream: this.dreams[0], since: now, until: 0 } : null;
    }
    return this.#rotate(now);
  }

  /**
   * Tell whether a job is running, or its dream is among those that the wall has.
   *
   * @param {string} jobId
   */
  has(jobId) {
    const { current } = this;
    const isCurrent = current?.kind === "dream" && current.dream.job_id === jobId;
    return isCurrent || this.running.has(jobId) || this.dreams.some(({ job_id }) => job_id === jobId);
  }

  /** How many photos come before the one that was sent last; null if none waits, or nobody knows how long it takes. */
  get ahead() {
    return this.waiting > 0 && this.seconds !== null ? this.waiting - 1 + this.running.size : null;
  }

  /** How many photos are on their way besides the current one. */
  get others() {
    const { current } = this;
    const isShown = current?.kind === "emerging" && this.running.has(current.jobId);
    return this.waiting + this.running.size - (isShown ? 1 : 0);
  }

  /**
   * @param {RunningJob} job
   * @param {number} now
   */
  #updateRunning(job, now) {
    this.running.set(job.job_id, { ...job, heardAt: now });
  }

  /** @param {Dream} dream */
  #addDream(dream) {
    const isKnown = this.dreams.some(({ job_id }) => job_id === dream.job_id);
    this.dreams = [dream, ...this.dreams.filter(({ job_id }) => job_id !== dream.job_id)]
      .sort((one, other) => other.at - one.at)
      .slice(0, MAX_DREAMS);
    if (!isKnown) this.#unseen = [...this.#unseen, dream].slice(-MAX_UNSEEN);
  }

  /**
   * @param {import("../common/event_feed.js").Snapshot} snapshot
   * @param {number} now
   */
  #restore({ dreams, running }, now) {
    const isFirst = this.current === null && this.dreams.length === 0;
    this.running = new Map(running.map((job) => [job.job_id, { ...job, heardAt: now - 1000 * job.silent }]));
    const listed = new Set(dreams.map((dream) => dream.job_id));
    this.#keepDreams((dream) => listed.has(dream.job_id)); // the others were hidden or deleted meanwhile
    for (const dream of [...dreams].reverse()) this.#addDream(dream);
    if (isFirst) this.#unseen = []; // they are older than this page: nobody waits for them
  }

  /** @param {(dream: Dream) => boolean} isKept */
  #keepDreams(isKept) {
    this.dreams = this.dreams.filter(isKept);
    this.#unseen = this.#unseen.filter(isKept);
    if (this.current?.kind === "dream" && !isKept(this.current.dream)) this.current = null;
  }

  /**
   * Show a dream emerge until it ends; it gives way only if it stalls while another job does not.
   *
   * @param {RunningJob & {heardAt: number}} job
   * @param {(RunningJob & {heardAt: number})[]} active
   * @param {number} now
   */
  #follow(job, active, now) {
    const shown = active.includes(job) ? job : (active.at(-1) ?? job);
    this.current = { kind: "emerging", jobId: shown.job_id };
    return shown.heardAt + (now - shown.heardAt < STALLED_AFTER ? STALLED_AFTER : LOST_AFTER);
  }

  /**
   * @param {Dream} dream
   * @param {number} now
   */
  #reveal(dream, now) {
    this.#unseen = this.#unseen.filter(({ job_id }) => job_id !== dream.job_id);
    const until = now + MIN_DREAM_DURATION;
    this.current = { kind: "dream", dream, since: now, until };
    return until;
  }

  /**
   * Show the next older dream if the wall has been idle for long enough.
   *
   * @param {number} now
   */
  #rotate(now) {
    const { current } = this;
    if (current?.kind !== "dream" || this.dreams.length < 2) return null;
    const due = Math.max(this.#lastEventAt + this.idleAfter, current.since + this.rotateEvery);
    if (now < due) return due;
    const index = this.dreams.findIndex(({ job_id }) => job_id === current.dream.job_id);
    this.current = { kind: "dream", dream: this.dreams[(index + 1) % this.dreams.length], since: now, until: 0 };
    return now + this.rotateEvery;
  }
}
