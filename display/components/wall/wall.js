// The wall: puts the programme on the page.

const pictureUrl = (name) => "/pictures/" + name.split("/").map(encodeURIComponent).join("/");

class Wall {
  constructor(root, { words, idle_after, rotate_every }) {
    Object.assign(this, { root, words });
    this.programme = new Programme({ idleAfter: 1000 * idle_after, rotateEvery: 1000 * rotate_every });
    this.firstShown = new Map(); // job_id → epoch milliseconds, of the dreams in the strip
    this.easel = new Easel((image, picture) => this.hang(image, picture));
    this.photoEasel = new Easel((image, picture) => this.hangPhoto(image, picture));
    this.find(".invitation h1").textContent = words.name;
    this.find(".invitation p").textContent = words.invitation;
    this.find(".dream figcaption").textContent = words.dream;
    this.find(".photo figcaption").textContent = words.photo;
    this.find(".home figcaption").textContent = words.take_home;
    this.find(".reconnecting").textContent = words.reconnecting;
    this.find(".strip").setAttribute("aria-label", words.strip);
    this.invite();
    root.lang = words.language;
    this.lift();
    this.server = this.broker = true;
    this.feed = new Feed(
      "/feed",
      (kind, body, id) => this.take(kind, body, id),
      (connected) => this.say({ server: connected }),
    );
    this.stayAwake = () => document.visibilityState === "visible" && navigator.wakeLock?.request("screen").catch(() => {});
    document.addEventListener("visibilitychange", this.stayAwake);
    this.stayAwake();
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  // Above everything that Streamlit draws: the top layer is beyond its styles, its dialogs and its dimming.
  lift() {
    this.root.popover = "manual";
    this.root.showPopover?.();
  }

  take(kind, body, id) {
    if (id) this.root.dataset.eventId = id;
    if (body.connected !== undefined) this.say({ broker: body.connected });
    this.programme.apply(kind, body, performance.now());
    if (kind !== "heartbeat" && kind !== "broker") this.play();
  }

  say(connection) {
    Object.assign(this, connection);
    this.find(".reconnecting").hidden = this.server && this.broker;
  }

  play() {
    clearTimeout(this.timer);
    const again = this.programme.decide(performance.now());
    if (again !== null) this.timer = setTimeout(() => this.play(), Math.max(50, again - performance.now()));
    this.showHero(this.programme.hero);
    this.showWaiting();
    this.showStrip();
  }

  showHero(hero) {
    if (hero === null) {
      if (this.shown) this.takeDown();
      this.root.dataset.scene = "invitation";
      return;
    }
    const emerging = hero.kind === "emerging";
    const job = emerging ? this.programme.running.get(hero.job_id) : hero.dream;
    const name = emerging ? (job.frame ?? job.photo) : job.dream;
    const key = `${hero.kind} ${job.job_id} ${name}`;
    if (emerging && this.shown?.job_id === job.job_id) this.showProgress(job);
    if (key === this.asked) return;
    this.asked = key;
    const scene = emerging ? "emerging" : "dream";
    this.easel.show({ source: pictureUrl(name), name, job, job_id: job.job_id, scene, hurry: !emerging });
  }

  // The last dream there was has been taken down.
  takeDown() {
    for (const place of [".dream .easel", ".photo .easel", ".backdrop"]) this.find(place).replaceChildren();
    this.find(".home img")?.remove();
    this.root.removeAttribute("data-home");
    this.easel.wanted = this.photoEasel.wanted = this.shown = this.asked = undefined;
  }

  hang(image, picture) {
    const { job, scene, name } = picture;
    const place = this.find(".dream .easel");
    const another = this.shown?.job_id !== job.job_id;
    // The same picture moves to its place beside the photo; another one fades in where this one fades out.
    const from = !another && this.root.dataset.scene !== scene && this.find(".dream").getBoundingClientRect();
    if (another) {
      for (const old of [place, this.find(".photo .easel")]) fadeOut(old, this.root, FADE);
    }
    if (another || from) this.arrange(job, scene, image);
    this.shown = job;
    this.showProgress(job);
    image.alt = this.words[scene === "dream" ? "alt_dream" : "alt_frame"].replace("{title}", job.title);
    image.dataset.jobId = job.job_id;
    if (scene === "dream") image.dataset.dream = name;
    else if (job.frame === name) image.dataset.frame = name;
    else image.dataset.photo = name;
    fadeIn(place, image, FADE);
    fadeIn(this.find(".backdrop"), backdrop(image), 2 * FADE);
    if (from) this.glide(this.find(".dream"), from);
    this.stamp(image, job.job_id);
    this.markStrip();
  }

  // Bring the room into the shape of the scene: alone and large while it emerges, beside its photo when it is done.
  arrange(job, scene, image) {
    const hang = this.find(".hang");
    hang.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    this.root.dataset.scene = scene;
    this.find(".kicker").textContent = this.words[scene === "dream" ? "dreamt" : "dreaming"];
    this.find(".title").textContent = job.title;
    this.find(".verdict").textContent = (job.verdicts ?? []).map((verdict) => this.verdict(verdict)).join("\n");
    this.find(".label").animate([{ opacity: 0 }, { opacity: 1 }], { duration: 2 * FADE, easing: "ease-in" });
    if (scene === "dream") this.showCode("home", job.job_id, this.words.qr_dream);
    if (scene === "dream") this.photoEasel.show({ source: pictureUrl(job.photo), job_id: job.job_id, hurry: true });
  }

  // The way in for phones without AirDrop: large where nothing hangs, small in the corner of what does.
  invite() {
    this.find(".send figcaption").textContent = this.words.send_yours;
    this.showCode("send", "send", this.words.qr_send);
  }

  // A QR code for phones' cameras; where phones cannot follow there is none, and what is beside it has its place.
  showCode(place, name, alt) {
    const code = Object.assign(new Image(), { alt });
    const hang = (...codes) => {
      const figure = this.find(`.${place}`);
      figure.querySelector("img")?.remove();
      figure.prepend(...codes);
    };
    code.onload = () => {
      if (place === "home" && this.shown?.job_id !== name) return; // another dream hangs by now
      hang(code);
      this.root.setAttribute(`data-${place}`, name);
    };
    code.onerror = () => {
      hang();
      this.root.removeAttribute(`data-${place}`);
    };
    code.src = `/qr/${name}.svg`;
  }

  // “peacock: from 3 % to 71 %”
  verdict([name, photo, dream]) {
    const percent = (share) => {
      const number = 100 * share;
      const digits = number > 0 && number < 1 ? 1 : 0;
      return this.words.percent.replace("{number}", number.toLocaleString(this.words.language, { maximumFractionDigits: digits }));
    };
    const text = this.words.verdict.replace("{name}", name);
    return text.replace("{photo}", percent(photo)).replace("{dream}", percent(dream));
  }

  hangPhoto(image, { job_id }) {
    if (this.shown?.job_id !== job_id || this.root.dataset.scene !== "dream") return;
    this.find(".hang").style.setProperty("--photo-ratio", image.naturalWidth / image.naturalHeight);
    image.alt = this.words.alt_photo;
    image.dataset.jobId = job_id;
    fadeIn(this.find(".photo .easel"), image, 2 * FADE);
  }

  // From where it hung to where it hangs now.
  glide(figure, before) {
    const after = figure.getBoundingClientRect();
    if (STILL.matches || before.width === 0 || after.width === 0) return;
    const [x, y, scale] = [before.left - after.left, before.top - after.top, before.width / after.width];
    if (Math.abs(x) + Math.abs(y) < 2 && Math.abs(scale - 1) < 0.01) return;
    figure.animate(
      [{ transformOrigin: "0 0", transform: `translate(${x}px, ${y}px) scale(${scale})` }, { transformOrigin: "0 0", transform: "none" }],
      { duration: 1400, easing: "cubic-bezier(0.6, 0, 0.1, 1)" },
    );
  }

  showProgress(job) {
    const percent = Math.round(100 * (job.fraction ?? 0));
    this.find(".progress").setAttribute("aria-valuenow", percent);
    this.find(".progress i").style.transform = `scaleX(${percent / 100})`;
  }

  showWaiting() {
    const { hero, more, ahead, seconds } = this.programme;
    if (ahead !== null) {
      const phrase = this.words[["none_ahead", "one_ahead"][ahead] ?? "many_ahead"];
      this.find(".waiting").textContent = phrase.replace("{count}", ahead).replace("{time}", this.duration(seconds));
      return;
    }
    const words = hero?.kind === "emerging" ? ["one_more", "many_more"] : ["one_waiting", "many_waiting"];
    this.find(".waiting").textContent = more === 0 ? "" : this.words[words[more === 1 ? 0 : 1]].replace("{count}", more);
  }

  duration(seconds) {
    if (seconds > 90) return this.words.minutes.replace("{count}", Math.round(seconds / 60));
    const step = seconds < 10 ? 1 : 5; // a forecast is no stopwatch
    return this.words.seconds.replace("{count}", Math.max(1, step * Math.round(seconds / step)));
  }

  showStrip() {
    const strip = this.find(".strip");
    const known = new Map([...strip.children].map((item) => [item.dataset.jobId, item]));
    const items = this.programme.dreams.map((dream) => known.get(dream.job_id) ?? this.stripItem(dream));
    if (items.some((item, index) => strip.children[index] !== item) || items.length !== strip.children.length) {
      strip.replaceChildren(...items);
    }
    for (const job_id of this.firstShown.keys()) {
      if (!this.programme.dreams.some((dream) => dream.job_id === job_id)) this.firstShown.delete(job_id);
    }
    this.markStrip();
  }

  stripItem(dream) {
    const item = document.createElement("li");
    item.dataset.jobId = dream.job_id;
    const easel = new Easel((image) => {
      image.alt = this.words.alt_dream.replace("{title}", dream.title);
      image.dataset.jobId = dream.job_id;
      image.dataset.dream = dream.dream;
      item.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
      fadeIn(item, image, 2 * FADE);
      this.stamp(image, dream.job_id);
    });
    easel.show({ source: pictureUrl(dream.thumb), job_id: dream.job_id, hurry: true });
    return item;
  }

  // The hero's own thumbnail is marked; a strip of nothing but the hero is left out.
  markStrip() {
    const hero = this.shown?.job_id;
    let others = false;
    for (const item of this.find(".strip").children) {
      const current = item.dataset.jobId === hero && this.root.dataset.scene === "dream";
      item.toggleAttribute("data-current", current);
      others ||= !current;
    }
    this.root.toggleAttribute("data-others", others);
  }

  // Note on a picture when it was on the screen; a dream bears the moment of its first picture, here or in the strip.
  async stamp(image, job_id) {
    let at = await painted();
    if (!image.checkVisibility?.()) return;
    if (image.dataset.dream) {
      at = Math.min(at, this.firstShown.get(job_id) ?? Infinity);
      this.firstShown.set(job_id, at);
    }
    image.dataset.shownAt = at;
  }

  close() {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.stayAwake);
    this.feed.close();
  }
}

const walls = new WeakMap();

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".wall");
  // Streamlit calls this at every run of the page, also when it comes back from a lost connection.
  if (!walls.has(root)) walls.set(root, new Wall(root, data));
  return () => {
    walls.get(root)?.close();
    walls.delete(root);
  };
}
