import { create } from "../common/elements.js";

/**
 * Copy a text; return whether that worked. Without HTTPS, as in a venue's own network, browsers keep the clipboard from
 * scripts, but the old command still works.
 *
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const { activeElement } = document;
    const field = create("textarea", { value: text, readOnly: true, className: "copied" });
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    if (activeElement instanceof HTMLElement) activeElement.focus(); // the field took the focus away
    return isCopied;
  }
}
