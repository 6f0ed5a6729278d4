// The programme: which job or dream is the hero of the wall. Knows no page and no clock; times are milliseconds.

// How many dreams are remembered, and how many of those that ended unseen are still shown afterwards.
const DREAMS = 24;
const UNSEEN = 12;

// A dream stays at least this long before another job takes the wall.
const HOLD = 4_000;
// A job that is silent for longer than this gives way to a livelier one…
const HESITATION = 10_000;
// … and after this it is taken for lost: a wall never waits without an end.
const SILENCE = 60_000;

class Programme {
  dreams = []; // newest first
  running = new Map(); // by job_id, in the order in which they were started
  waiting = 0;
  seconds = null; // until the last photo that waits has its dream; null where nobody knows
  hero = null; // {kind: "emerging", job_id} or {kind: "dream", dream, until, since}
  unseen = [];
  news = -Infinity; // when something last happened

  // Where nothing has happened for idleAfter the wall goes through its dreams by itself, one every rotateEvery.
  constructor({ idleAfter, rotateEvery }) {
    Object.assign(this, { idleAfter, rotateEvery });
  }

  apply(kind, body, now) {
    if (body.waiting !== undefined) [this.waiting, this.seconds] = [body.waiting, body.seconds ?? null];
    if (kind !== "heartbeat" && kind !== "broker") this.news = now;
    switch (kind) {
      case "snapshot":
        return this.restore(body, now);
      case "started":
        this.running.delete(body.job_id); // a job that starts again is the newest again
        return this.note(body, now);
      case "frame":
        return this.note(body, now);
      case "dream":
        this.running.delete(body.job_id);
        return this.add(body);
      case "ended":
        return this.running.delete(body.job_id);
      case "gone":
        this.running.delete(body.job_id);
        return this.keep((dream) => dream.job_id !== body.job_id);
    }
  }

  note(job, now) {
    // The redone job's first frames come late; until then its old ones are the better picture.
    this.running.set(job.job_id, { ...job, frame: job.frame ?? this.running.get(job.job_id)?.frame, heard: now });
  }

  add(dream) {
    const known = this.dreams.some((other) => other.job_id === dream.job_id);
    this.dreams = [dream, ...this.dreams.filter((other) => other.job_id !== dream.job_id)]
      .sort((one, other) => other.at - one.at)
      .slice(0, DREAMS);
    if (!known) this.unseen = [...this.unseen, dream].slice(-UNSEEN);
  }

  restore({ dreams, running }, now) {
    const first = this.hero === null && this.dreams.length === 0;
    this.running = new Map(running.map((job) => [job.job_id, { ...job, heard: now - 1000 * job.silent }]));
    const told = new Set(dreams.map((dream) => dream.job_id));
    this.keep((dream) => told.has(dream.job_id)); // the others were taken down meanwhile
    for (const dream of [...dreams].reverse()) this.add(dream);
    if (first) this.unseen = []; // they were there before: nobody waits for them
  }

  keep(chosen) {
    [this.dreams, this.unseen] = [this.dreams.filter(chosen), this.unseen.filter(chosen)];
    if (this.hero?.kind === "dream" && !chosen(this.hero.dream)) this.hero = null;
  }

  // Choose the hero; return when to choose again, or null where only an event can change the choice.
  decide(now) {
    for (const job of this.running.values()) {
      if (now - job.heard >= SILENCE) this.running.delete(job.job_id);
    }
    const current = this.hero?.kind === "emerging" ? this.hero.job_id : null;
    const lively = [...this.running.values()].filter((job) => now - job.heard < HESITATION);
    if (current !== null && this.running.has(current)) {
      // A dream is watched to its end; only one that hesitates gives way.
      const stays = lively.some((job) => job.job_id === current) || lively.length === 0;
      if (!stays) this.hero = { kind: "emerging", job_id: lively.at(-1).job_id };
      const { heard } = this.running.get(this.hero.job_id);
      return now - heard < HESITATION ? heard + HESITATION : heard + SILENCE;
    }
    const finished = current !== null && this.dreams.find((dream) => dream.job_id === current);
    if (finished) return this.reveal(finished, now);
    if (this.hero?.kind === "dream" && now < this.hero.until) return this.hero.until;
    if (this.running.size > 0) {
      const job = lively.at(-1) ?? [...this.running.values()].at(-1);
      this.hero = { kind: "emerging", job_id: job.job_id };
      return job.heard + HESITATION;
    }
    if (this.unseen.length > 0) return this.reveal(this.unseen[0], now);
    if (this.hero?.kind !== "dream") {
      this.hero = this.dreams.length > 0 ? { kind: "dream", dream: this.dreams[0], until: 0, since: now } : null;
    }
    return this.rotate(now);
  }

  // Attract: an idle wall shows its dreams again, from the newest on.
  rotate(now) {
    if (this.hero === null || this.dreams.length < 2) return null;
    const due = Math.max(this.news + this.idleAfter, this.hero.since + this.rotateEvery);
    if (now < due) return due;
    const place = this.dreams.findIndex((dream) => dream.job_id === this.hero.dream.job_id);
    this.hero = { kind: "dream", dream: this.dreams[(place + 1) % this.dreams.length], until: 0, since: now };
    return now + this.rotateEvery;
  }

  reveal(dream, now) {
    this.unseen = this.unseen.filter((other) => other.job_id !== dream.job_id);
    this.hero = { kind: "dream", dream, until: now + HOLD, since: now };
    return this.hero.until;
  }

  // How many photos are before the one that came last; null where there is none, or no telling how long it takes.
  get ahead() {
    return this.waiting > 0 && this.seconds !== null ? this.waiting - 1 + this.running.size : null;
  }

  // How many photos are on their way besides the hero.
  get more() {
    const others = [...this.running.keys()].filter((job_id) => job_id !== this.hero?.job_id);
    return this.waiting + others.length;
  }
}
