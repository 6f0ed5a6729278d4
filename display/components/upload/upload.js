// Sending a photo: pick it, choose how it dreams, agree, and follow it to its own page.

const words = JSON.parse(document.body.dataset.words);
const recipes = JSON.parse(document.body.dataset.recipes);
const most = JSON.parse(document.body.dataset.most);
const find = (selector) => document.querySelector(selector);

class Send {
  constructor() {
    this.form = find("form");
    this.picked = find(".photo input");
    find("h1").textContent = words.send_title;
    find(".prompt").textContent = words.send_pick;
    find("legend").textContent = words.send_choose;
    find(".consent span").textContent = words.send_consent;
    find("button").textContent = words.send;
    document.title = `${words.send_title} · ${words.name}`;
    find(".recipes").append(...recipes.map((recipe, index) => this.choice(recipe, index === 0)));
    this.picked.addEventListener("change", () => this.preview());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
  }

  choice({ name, title }, chosen) {
    const label = Object.assign(document.createElement("label"), { className: "recipe" });
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "recipe", value: name, checked: chosen });
    const example = Object.assign(new Image(), { src: `/send/examples/${name}.jpg`, alt: "", loading: "lazy" });
    example.onerror = () => (example.hidden = true);
    label.append(radio, example, Object.assign(document.createElement("span"), { textContent: title }));
    return label;
  }

  // Where the browser cannot show what was picked, as HEIC outside of Safari, its name stands for it.
  async preview() {
    const file = this.picked.files[0];
    const image = find(".photo img");
    URL.revokeObjectURL(image.src);
    image.hidden = true;
    find(".prompt").textContent = file ? file.name : words.send_pick;
    this.fault("");
    if (!file) return;
    if (file.size > most * 1e6) return this.fault(words.send_too_large.replace("{most}", most));
    image.src = URL.createObjectURL(file);
    try {
      await image.decode();
      image.hidden = false;
      find(".prompt").textContent = words.send_other;
    } catch {}
  }

  send() {
    const file = this.picked.files[0];
    const consent = find(".consent input");
    if (!file) return this.fault(words.send_needs_photo, this.picked);
    if (file.size > most * 1e6) return this.fault(words.send_too_large.replace("{most}", most), this.picked);
    if (!consent.checked) return this.fault(words.send_needs_consent, consent);
    this.fault("");
    this.busy(true);
    const asked = new URLSearchParams({ recipe: new FormData(this.form).get("recipe"), consent: "yes", lang: words.language });
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is
    request.upload.onprogress = ({ loaded, total }) => this.show(loaded / total);
    request.onload = () => this.answered(request);
    request.onerror = request.ontimeout = () => this.refused(words.send_broken);
    request.open("POST", `/send/photo?${asked}`);
    request.responseType = "json";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(file);
  }

  answered({ status, response }) {
    if (status === 201) {
      const language = new URLSearchParams(location.search).get("lang");
      location.assign(response.page + (language ? `?lang=${encodeURIComponent(language)}` : ""));
    } else this.refused(response?.reason ?? words.send_broken);
  }

  refused(reason) {
    this.busy(false);
    this.fault(reason);
  }

  fault(reason, field) {
    find(".fault").textContent = reason;
    field?.focus();
  }

  busy(underway) {
    find("button").disabled = underway;
    find("button").textContent = underway ? words.sending : words.send;
    find(".progress").hidden = !underway;
    this.show(0);
  }

  show(share) {
    find(".progress").setAttribute("aria-valuenow", Math.round(100 * share));
    find(".progress i").style.transform = `scaleX(${share})`;
  }
}

new Send();
