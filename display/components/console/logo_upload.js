/**
 * What `display/console/event_tab.py` passes in: the object name of the logo that is chosen, which may be empty, and texts.
 *
 * @typedef {{logo: string, choose: string, remove: string, failed: string}} LogoData
 */

/**
 * Let the operator choose a logo: it is stored at once, and its object name is the component's state `logo`, empty if there
 * is to be none. Streamlit calls this at every run of its page.
 *
 * @param {{
 *   parentElement: HTMLElement,
 *   data: LogoData,
 *   setStateValue: (name: string, value: string) => void,
 * }} component
 */
export default function showLogoUpload({ parentElement, data, setStateValue }) {
  const input = /** @type {HTMLInputElement} */ (parentElement.querySelector("input"));
  const button = /** @type {HTMLButtonElement} */ (parentElement.querySelector("button"));
  const status = /** @type {HTMLElement} */ (parentElement.querySelector("p"));
  /** @type {HTMLElement} */ (parentElement.querySelector("span")).textContent = data.choose;
  button.textContent = data.remove;
  /** @type {HTMLElement} */ (parentElement.querySelector(".file-choice")).hidden = false; // only now all have names
  button.hidden = !data.logo;
  button.onclick = () => setStateValue("logo", "");
  input.onchange = async () => {
    const file = input.files?.[0];
    if (!file) return;
    status.textContent = "";
    try {
      const response = await fetch("/console/logo", { method: "POST", body: file });
      const { logo, reason } = await response.json();
      if (response.ok) setStateValue("logo", logo);
      else status.textContent = reason;
    } catch {
      status.textContent = data.failed;
    }
    input.value = ""; // the same file may be chosen again
  };
}
