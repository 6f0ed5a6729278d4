import { showBrand } from "../common/appearance.js";
import { create, find, readPageData } from "../common/elements.js";
import { fill } from "../common/formatting.js";
import { showNavigation, withLanguage } from "../common/navigation.js";
import { showProgress } from "../common/progress_bar.js";

/** @type {import("../common/formatting.js").Texts} */
const texts = readPageData("texts");

/** @type {import("../common/appearance.js").Appearance} */
const appearance = readPageData("appearance");

/** @type {{name: string, title: string}[]} */
const recipes = readPageData("recipes");

/** @type {number} megabytes of the largest file that is taken */
const maxMegabytes = readPageData("maxMegabytes");

/** Sends a photo: a guest picks it, chooses a recipe, agrees, and is led to the page of its dream. */
class UploadForm {
  constructor() {
    this.form = find("form", HTMLFormElement);
    this.photoInput = find(".photo input", HTMLInputElement);
    this.preview = find(".photo img", HTMLImageElement);
    this.consent = find(".consent input", HTMLInputElement);
    this.button = find("button", HTMLButtonElement);
    showNavigation(texts);
    showBrand(find(".brand"), appearance);
    find("h1").textContent = texts.send_title;
    find(".prompt").textContent = texts.send_pick;
    find("legend").textContent = texts.send_choose;
    find(".consent span").textContent = appearance.consent || texts.send_consent;
    this.button.textContent = texts.send;
    document.title = `${texts.send_title} · ${appearance.title || texts.name}`;
    find(".recipes").append(...recipes.map((recipe, index) => createChoice(recipe, index === 0)));
    this.photoInput.addEventListener("change", () => this.#showPreview());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    // A browser that goes back to this page may show it as it was left: sending.
    addEventListener("pageshow", ({ persisted }) => persisted && this.#setSending(false));
  }

  // Some browsers cannot show every photo, as HEIC outside of Safari: they show its name.
  async #showPreview() {
    const file = this.photoInput.files?.[0];
    URL.revokeObjectURL(this.preview.src);
    this.preview.hidden = true;
    find(".prompt").textContent = file ? file.name : texts.send_pick;
    showFault("");
    if (!file) return;
    if (isTooLarge(file)) return showFault(fill(texts.send_too_large, { most: maxMegabytes }), this.photoInput);
    this.preview.src = URL.createObjectURL(file);
    try {
      await this.preview.decode();
      this.preview.hidden = false;
      find(".prompt").textContent = texts.send_other;
    } catch {}
  }

  #submit() {
    const file = this.photoInput.files?.[0];
    if (!file) return showFault(texts.send_needs_photo, this.photoInput);
    if (isTooLarge(file)) return showFault(fill(texts.send_too_large, { most: maxMegabytes }), this.photoInput);
    if (!this.consent.checked) return showFault(texts.send_needs_consent, this.consent);
    showFault("");
    this.#setSending(true);
    const recipe = String(new FormData(this.form).get("recipe"));
    const query = new URLSearchParams({ recipe, consent: "yes", lang: texts.language });
    const request = new XMLHttpRequest(); // fetch does not report the progress of an upload
    request.upload.onprogress = ({ loaded, total }) => this.#showSent(loaded / total);
    request.onload = () => this.#handleResponse(request);
    request.onerror = request.ontimeout = () => this.#fail(texts.send_broken);
    request.open("POST", `/send/photo?${query}`);
    request.responseType = "json";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(file);
  }

  /** @param {XMLHttpRequest} request */
  #handleResponse({ status, response }) {
    // A proxy that takes no photos of this size answers without a reason, and with a limit of its own.
    const reason = response?.reason ?? (status === 413 ? texts.send_too_large_here : texts.send_broken);
    if (status !== 201) return this.#fail(reason);
    location.assign(`${withLanguage(response.page)}#sent`);
  }

  /** @param {string} reason */
  #fail(reason) {
    this.#setSending(false);
    showFault(reason);
  }

  /** @param {boolean} isSending */
  #setSending(isSending) {
    this.button.disabled = isSending;
    this.button.textContent = isSending ? texts.sending : texts.send;
    find(".progress").hidden = !isSending;
    this.#showSent(0);
  }

  /** @param {number} fraction */
  #showSent(fraction) {
    showProgress(find(".progress"), fraction, texts.sending);
  }
}

/**
 * @param {{name: string, title: string}} recipe
 * @param {boolean} checked
 */
function createChoice({ name, title }, checked) {
  const radio = create("input", { type: "radio", name: "recipe", value: name, checked });
  const example = create("img", { src: `/send/examples/${name}.jpg`, alt: "", loading: "lazy" });
  example.onerror = () => (example.hidden = true);
  return create("label", { className: "recipe" }, radio, example, create("span", { textContent: title }));
}

/** @param {File} file */
const isTooLarge = (file) => file.size > maxMegabytes * 1e6;

/**
 * Say what is wrong: below the field that it is about, which is led to, or above the button.
 *
 * @param {string} reason
 * @param {HTMLElement} [field]
 */
function showFault(reason, field) {
  const fault = find(".fault");
  (field?.closest("label") ?? find(".consent")).after(fault);
  fault.textContent = reason;
  for (const input of document.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
  field?.setAttribute("aria-invalid", "true");
  field?.setAttribute("aria-describedby", "fault");
  field?.focus();
}

new UploadForm();
