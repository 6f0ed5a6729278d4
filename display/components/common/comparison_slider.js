/** A photo that lies over its dream; a range input draws it away. */
export class ComparisonSlider {
  /**
   * @param {HTMLInputElement} input in percent
   * @param {HTMLElement} picture whose style sheet uses `--split`
   */
  constructor(input, picture) {
    this.input = input;
    this.picture = picture;
    input.addEventListener("input", () => this.update());
  }

  /** @param {number} percent of the photo that is visible */
  set(percent) {
    this.input.value = String(percent);
    this.update();
  }

  update() {
    this.picture.style.setProperty("--split", `${this.input.value}%`);
  }
}
