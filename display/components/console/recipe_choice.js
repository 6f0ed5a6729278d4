/**
 * What `display/console/canary_settings.py` passes in: texts, and the length of the longest recipe in characters.
 *
 * @typedef {{choose: string, failed: string, most: number}} ChoiceData
 */

/**
 * Let the operator choose a recipe's file: its name and text are the component's state `recipe`. Streamlit calls this at
 * every run of its page.
 *
 * @param {{
 *   parentElement: HTMLElement,
 *   data: ChoiceData,
 *   setStateValue: (name: string, value: {name: string, text: string}) => void,
 * }} component
 */
export default function showRecipeChoice({ parentElement, data, setStateValue }) {
  const input = /** @type {HTMLInputElement} */ (parentElement.querySelector("input"));
  const status = /** @type {HTMLElement} */ (parentElement.querySelector("p"));
  /** @type {HTMLElement} */ (parentElement.querySelector("span")).textContent = data.choose;
  /** @type {HTMLElement} */ (parentElement.querySelector(".file-choice")).hidden = false; // only now all have names
  input.onchange = async () => {
    const file = input.files?.[0];
    if (!file) return;
    status.textContent = "";
    try {
      if (file.size > 4 * data.most) throw new RangeError(); // a character has at most four bytes
      setStateValue("recipe", { name: file.name, text: await file.text() });
    } catch {
      status.textContent = data.failed;
    }
    input.value = ""; // the same file may be chosen again
  };
}
