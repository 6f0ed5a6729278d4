// The gallery: pages of dreams, newest first, that grow as one scrolls; one dream at a time beside its photo.

const words = JSON.parse(document.body.dataset.words);
const find = (selector, root = document) => root.querySelector(selector);
const pictureUrl = (name) => "/pictures/" + name.split("/").map(encodeURIComponent).join("/");
const text = (name, values = {}) =>
  Object.entries(values).reduce((phrase, [key, value]) => phrase.replace(`{${key}}`, value), words[name]);

const STILL = matchMedia("(prefers-reduced-motion: reduce)");

// Milliseconds before what is away is asked for again.
const AGAIN = 3_000;

class Gallery {
  constructor() {
    this.list = find(".leaves");
    this.dialog = find("dialog");
    this.label();
    this.recipe = find("select[name=recipe]");
    this.day = find("select[name=day]");
    for (const select of [this.recipe, this.day]) select.addEventListener("change", () => this.begin());
    new IntersectionObserver(([end]) => end.isIntersecting && this.more(), { rootMargin: "600px" }).observe(find(".end"));
    find("input", this.dialog).addEventListener("input", (event) => this.split(event.target.value));
    this.dialog.addEventListener("close", () => this.shut());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.follow();
    this.begin();
  }

  label() {
    find("h1").textContent = words.gallery;
    find(".by-recipe").textContent = words.by_recipe;
    find(".by-day").textContent = words.by_day;
    find(".empty").textContent = words.gallery_empty;
    find(".away").textContent = words.reconnecting;
    find(".close").textContent = "×";
    find(".close").setAttribute("aria-label", words.close);
    find(".compare input").setAttribute("aria-label", words.compare);
    find(".download").textContent = words.download;
    find(".home figcaption").textContent = words.take_home;
  }

  // From the newest on, with what is chosen now.
  begin() {
    this.turn = {}; // what an earlier turn still loads is nobody's
    this.cursor = "";
    this.busy = this.done = false;
    this.list.replaceChildren();
    return this.more();
  }

  async more() {
    if (this.busy || this.done) return;
    this.busy = true;
    const turn = this.turn;
    const asked = new URLSearchParams({ before: this.cursor, recipe: this.recipe.value, day: this.day.value });
    try {
      const answer = await fetch(`/gallery/dreams?${asked}`);
      if (!answer.ok) throw new Error(answer.status);
      const { dreams, ...choices } = await answer.json();
      if (turn !== this.turn) return;
      find(".away").hidden = true;
      if (choices.recipes) this.choose(choices);
      this.list.append(...dreams.map((dream) => this.leaf(dream)));
      this.done = dreams.length === 0;
      find(".empty").hidden = this.list.children.length > 0;
      const last = dreams.at(-1);
      if (last) this.cursor = `${last.at}-${last.job_id}`;
      this.busy = false;
      if (find(".end").getBoundingClientRect().top < innerHeight + 600) this.more();
    } catch {
      if (turn !== this.turn) return;
      find(".away").hidden = false;
      setTimeout(() => {
        this.busy = false;
        if (turn === this.turn) this.more();
      }, AGAIN);
    }
  }

  choose({ count, recipes, days }) {
    find(".count").textContent = count === 1 ? words.one_dream : text("many_dreams", { count });
    this.fill(this.recipe, recipes);
    this.fill(this.day, days.map((day) => [day, new Date(`${day}T12:00`).toLocaleDateString(words.language)]));
  }

  fill(select, options) {
    const chosen = select.value;
    select.replaceChildren(new Option(words.all, ""), ...options.map(([value, name]) => new Option(name, value)));
    select.value = options.some(([value]) => value === chosen) ? chosen : "";
  }

  leaf(dream) {
    const item = document.createElement("li");
    item.dataset.jobId = dream.job_id;
    const button = document.createElement("button");
    button.type = "button";
    const frame = Object.assign(document.createElement("span"), { className: "frame" });
    const image = new Image();
    Object.assign(image, { loading: "lazy", decoding: "async", alt: text("alt_dream", { title: dream.title }) });
    image.src = pictureUrl(dream.thumb);
    frame.append(image);
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: dream.title });
    const time = document.createElement("time");
    time.dateTime = new Date(1000 * dream.at).toISOString();
    time.textContent = new Date(1000 * dream.at).toLocaleTimeString(words.language, { timeStyle: "short" });
    name.append(time);
    button.append(frame, name);
    button.addEventListener("click", () => this.open(dream));
    item.append(button);
    return item;
  }

  async open(dream) {
    this.shown = dream;
    find("#title").textContent = dream.title;
    Object.assign(find(".compare .dream"), { src: pictureUrl(dream.dream), alt: text("alt_dream", { title: dream.title }) });
    Object.assign(find(".compare .photo"), { src: pictureUrl(dream.photo), alt: words.alt_photo });
    const link = find(".download");
    Object.assign(link, { href: pictureUrl(dream.dream), download: `${dream.recipe}-${dream.job_id.slice(0, 8)}.jpg` });
    find(".compare input").value = 50;
    this.split(50);
    find(".verdict").textContent = "";
    find("dl").replaceChildren();
    this.showClip(dream);
    this.showCode(dream);
    this.dialog.showModal();
    find(".compare input").focus();
    try {
      const answer = await fetch(`/gallery/dreams/${dream.job_id}`);
      if (answer.ok && this.shown === dream) this.describe(dream, await answer.json());
    } catch {} // the pictures are what matters
  }

  // A clip is made some time after its dream; where there is none, nothing is missing.
  showClip(dream) {
    const video = find("video");
    video.hidden = true;
    video.onloadeddata = () => {
      video.hidden = false;
      if (!STILL.matches) video.play().catch(() => {});
    };
    video.controls = STILL.matches;
    video.setAttribute("aria-label", words.clip);
    video.src = pictureUrl(dream.clip);
  }

  // For another screen than the phone that shall take it; where no phone could follow there is none.
  showCode(dream) {
    const home = find(".home");
    const code = find("img", home);
    code.alt = words.qr_dream;
    code.onload = () => (home.hidden = false);
    code.onerror = () => (home.hidden = true);
    code.src = `/qr/${dream.job_id}.svg`;
  }

  describe(dream, about) {
    const percent = (share) =>
      words.percent.replace("{number}", (100 * share).toLocaleString(words.language, { maximumFractionDigits: share < 0.01 ? 1 : 0 }));
    const verdicts = about.verdicts.map(([name, photo, seen]) =>
      text("verdict", { name, photo: percent(photo), dream: percent(seen) }),
    );
    find(".verdict").textContent = verdicts.join("\n");
    const facts = [
      [words.dreamt_at, new Date(1000 * dream.at).toLocaleString(words.language, { dateStyle: "medium", timeStyle: "short" })],
      [words.recipe, `${about.recipe} ${about.version}`],
      [words.network, about.network],
      [words.seed, about.seed],
      [words.size, about.size.join(" × ")],
      [words.took, text("seconds", { count: about.seconds.toFixed(1) })],
      ...(about.artworks.length ? [[words.artworks, about.artworks.join(", ")]] : []),
    ];
    find("dl").replaceChildren(
      ...facts.flatMap(([name, fact]) => [
        Object.assign(document.createElement("dt"), { textContent: name }),
        Object.assign(document.createElement("dd"), { textContent: fact }),
      ]),
    );
  }

  split(percent) {
    find(".compare").style.setProperty("--split", `${percent}%`);
  }

  shut() {
    this.shown = undefined;
    const video = find("video");
    video.removeAttribute("src");
    video.load();
  }

  // A dream that ends while somebody leafs is put on top.
  follow() {
    const source = new EventSource("/feed");
    source.addEventListener("snapshot", () => this.catchUp());
    source.addEventListener("dream", (message) => {
      const { job_id } = JSON.parse(message.data);
      if (this.list.querySelector(`[data-job-id="${job_id}"]`)) return;
      this.freshen();
    });
    source.addEventListener("gone", (message) => {
      const { job_id } = JSON.parse(message.data);
      this.list.querySelector(`[data-job-id="${job_id}"]`)?.closest("li")?.remove();
      if (this.shown?.job_id === job_id) this.dialog.close();
    });
  }

  // A display that was started a moment ago may still be reading what the store has: older dreams come at the end.
  async catchUp() {
    clearTimeout(this.later);
    if (this.busy) {
      this.later = setTimeout(() => this.catchUp(), 100);
      return;
    }
    if (!(await this.newest())) return;
    this.done = false;
    this.more();
  }

  async freshen() {
    const dreams = await this.newest();
    if (!dreams) return;
    const fresh = dreams.filter((dream) => !this.list.querySelector(`[data-job-id="${dream.job_id}"]`));
    this.list.prepend(...fresh.map((dream) => this.leaf(dream)));
    find(".empty").hidden = this.list.children.length > 0;
  }

  // The first page, after saying how many there are and of what kinds; nothing where it cannot be had.
  async newest() {
    const asked = new URLSearchParams({ before: "", recipe: this.recipe.value, day: this.day.value });
    const answer = await fetch(`/gallery/dreams?${asked}`).catch(() => null);
    if (!answer?.ok) return null;
    const { dreams, ...choices } = await answer.json();
    this.choose(choices);
    return dreams;
  }
}

new Gallery();
