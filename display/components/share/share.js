// One dream on a phone: how it is getting on, then the dream itself, to look at, to keep and to share.

const words = JSON.parse(document.body.dataset.words);
const find = (selector) => document.querySelector(selector);
const here = location.pathname.replace(/\/$/, "");
const say = (name, values = {}) =>
  Object.entries(values).reduce((phrase, [key, value]) => phrase.replace(`{${key}}`, value), words[name]);
const day = (seconds) => new Date(1000 * seconds).toLocaleDateString(words.language, { dateStyle: "long" });

const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const FADE = 700;

// Milliseconds until a page in a state asks again; those that are not here change no more.
const AGAIN = { received: 1_000, waiting: 1_000, emerging: 700, held: 2_000, away: 2_000, failed: 5_000, nothing: 3_000, gone: 5_000 };
const AWAY = 3_000;

// A clip is made some time after its dream.
const CLIP_AGAIN = [4_000, 10_000, 30_000, 60_000];

class Takeaway {
  constructor() {
    find(".share").textContent = words.share;
    find(".download").textContent = words.download;
    find(".hang input").setAttribute("aria-label", words.compare);
    find(".hang input").addEventListener("input", (event) => this.split(event.target.value));
    find(".share").addEventListener("click", () => this.share());
    this.take(JSON.parse(document.body.dataset.state));
  }

  // Ask as long as something may change; a phone that was locked goes on where it was.
  async ask() {
    try {
      const answer = await fetch(`${here}/state`);
      if (!answer.ok) throw new Error(answer.status);
      find(".said").textContent = "";
      this.take(await answer.json());
    } catch {
      find(".said").textContent = words.reconnecting;
      setTimeout(() => this.ask(), AWAY);
    }
  }

  take(state) {
    document.body.dataset.shows = state.state;
    this.tell(state);
    find(".hang").hidden = !["received", "waiting", "emerging", "done"].includes(state.state);
    find(".progress").hidden = state.state !== "emerging";
    find(".actions").hidden = find(".hang input").hidden = state.state !== "done";
    find(".until").textContent = state.state === "done" ? say("until", { date: day(state.ends) }) : "";
    if (state.state === "emerging") this.emerge(state);
    if (state.state === "done") this.finish(state);
    if (state.state in AGAIN) setTimeout(() => this.ask(), AGAIN[state.state]);
  }

  tell({ state, title = "", ends, ahead, seconds, reason }) {
    const told = {
      received: [words.name, words.own_received, ""],
      waiting: [words.name, words.own_waiting, ahead === undefined ? "" : this.forecast(ahead, seconds)],
      emerging: [words.dreaming, title, ""],
      done: [words.dreamt, title, ""],
      refused: [words.name, say("own_refused", { reason }), ""],
      failed: [words.name, words.own_failed, ""],
      held: [words.name, words.link_held, words.link_held_more],
      away: [words.name, words.link_away, words.link_away_more],
      nothing: [words.name, words.link_nothing, words.link_nothing_more],
      gone: [words.name, words.link_gone, words.link_gone_more],
      expired: [words.name, words.link_expired, ends ? say("link_expired_more", { date: day(ends) }) : ""],
      wrong: [words.name, words.link_wrong, words.link_wrong_more],
    }[state];
    [".kicker", "h1", ".more"].forEach((place, index) => {
      if (find(place).textContent !== told[index]) find(place).textContent = told[index];
    });
    document.title = `${told[1]} · ${words.name}`;
  }

  forecast(ahead, seconds) {
    if (seconds === null) return "";
    const step = seconds < 10 ? 1 : 5; // a forecast is no stopwatch
    const time =
      seconds > 90
        ? say("minutes", { count: Math.round(seconds / 60) })
        : say("seconds", { count: Math.max(1, step * Math.round(seconds / step)) });
    return say(["none_ahead", "one_ahead"][ahead] ?? "many_ahead", { count: ahead, time });
  }

  emerge({ title, frame, fraction }) {
    const percent = Math.round(100 * fraction);
    find(".progress").setAttribute("aria-valuenow", percent);
    find(".progress i").style.transform = `scaleX(${percent / 100})`;
    const name = frame ? `frame-${frame.match(/(\d+)\.jpg$/)[1]}.jpg` : "photo.jpg";
    this.hang(name, say(frame ? "alt_frame" : "alt_photo", { title }));
  }

  // Decode, then fade in over what hangs; a picture that cannot be had leaves the last one hanging.
  async hang(name, alt) {
    if (this.wanted === name) return true;
    this.wanted = name;
    const image = Object.assign(new Image(), { src: `${here}/${name}`, alt });
    try {
      await image.decode();
    } catch {
      if (this.wanted === name) this.wanted = undefined;
      return false;
    }
    if (this.wanted !== name) return false;
    image.dataset.name = name;
    const place = find(".easel");
    place.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    place.append(image);
    const covered = () => [...place.children].slice(0, [...place.children].indexOf(image)).forEach((old) => old.remove());
    image.animate([{ opacity: 0 }, { opacity: 1 }], { duration: STILL.matches ? 1 : FADE }).onfinish = covered;
    return true;
  }

  async finish(state) {
    this.state = state;
    const { title, recipe, job } = state;
    this.file = `${recipe}-${job}.jpg`;
    Object.assign(find(".download"), { href: `${here}/dream.jpg`, download: this.file });
    while (!(await this.hang("dream.jpg", say("alt_dream", { title })))) await pause(AWAY);
    this.compare();
    this.prepare();
    this.play(0);
  }

  // The photo lies over its dream; the slider draws it away.
  async compare() {
    const photo = Object.assign(new Image(), { src: `${here}/photo.jpg`, alt: words.alt_photo, className: "photo" });
    await photo.decode().catch(() => {});
    if (!photo.naturalWidth) return void (find(".hang input").hidden = true);
    find(".easel").append(photo);
    this.split(find(".hang input").value);
  }

  split(percent) {
    find(".easel").style.setProperty("--split", `${percent}%`);
  }

  // What is shared must be at hand when the button is pressed: a browser lets no time pass between the two.
  async prepare() {
    if (!navigator.canShare) return;
    try {
      const data = await (await fetch(`${here}/dream.jpg`)).blob();
      const file = new File([data], this.file, { type: "image/jpeg" });
      if (navigator.canShare({ files: [file] })) this.picture = file;
    } catch {} // then the link alone is shared
  }

  async share() {
    const link = { title: `${this.state.title} · ${words.name}`, url: location.origin + here };
    try {
      if (navigator.share) return await navigator.share(this.picture ? { ...link, files: [this.picture] } : link);
    } catch (error) {
      if (error.name === "AbortError") return; // thought better of it
    }
    if (await copied(link.url)) find(".said").textContent = words.copied;
    else find(".said").textContent = link.url;
  }

  async play(tries) {
    const video = find("video");
    video.onloadeddata = () => {
      video.hidden = false;
      if (!STILL.matches) video.play().catch(() => {});
    };
    video.onerror = () => CLIP_AGAIN[tries] && setTimeout(() => this.play(tries + 1), CLIP_AGAIN[tries]);
    video.controls = STILL.matches;
    video.setAttribute("aria-label", words.clip);
    video.src = `${here}/clip.mp4`;
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Without HTTPS, as in a venue's own network, browsers keep their clipboard from scripts; the old way still works.
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = Object.assign(document.createElement("textarea"), { value: text, readOnly: true, className: "copied" });
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    find(".share").focus();
    return done;
  }
}

new Takeaway();
