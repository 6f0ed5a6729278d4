import { sleep } from "../common/clock.js";
import { create, find } from "../common/elements.js";

// Milliseconds: between two looks, until the request is made again if a worker lost it, until the guest is told to wait
// no longer.
const LOOK_INTERVAL = 2_000;
const REQUEST_INTERVAL = 60_000;
const MAX_WAIT = 300_000;

/**
 * Show links to a clip's formats: the video, which is there, and those that are made if a guest wants them.
 *
 * @param {string} page path of the share page
 * @param {string} stem file name without its end
 * @param {import("../common/formatting.js").Texts} texts
 */
export function showClipFormats(page, stem, texts) {
  const place = find(".formats");
  if (!place.hidden) return;
  Object.assign(find(".formats .video", HTMLAnchorElement), {
    href: `${page}/clip.mp4`,
    download: `${stem}.mp4`,
    textContent: texts.save_video,
  });
  for (const [name, ending, label, saveLabel] of [
    ["clip.gif", ".gif", texts.make_gif, texts.save_gif],
    ["square.mp4", "-square.mp4", texts.make_square, texts.save_square],
  ]) {
    const button = create("button", { type: "button", className: "button" }, label);
    button.addEventListener("click", async () => {
      button.disabled = true;
      button.textContent = texts.making;
      const isMade = await makeFormat(`${page}/${name}`);
      if (!button.isConnected) return; // the dream was hidden or deleted meanwhile
      if (isMade) {
        const link = create("a", { className: "button", href: `${page}/${name}`, download: stem + ending }, saveLabel);
        button.replaceWith(link);
        link.click();
      } else {
        find(".notice").textContent = texts.make_failed;
        button.textContent = label;
        button.disabled = false;
      }
    });
    place.append(button);
  }
  place.hidden = false;
}

/** Hide the links, and remove those to formats that were made. */
export function removeClipFormats() {
  const place = find(".formats");
  place.hidden = true;
  for (const made of place.querySelectorAll(":scope > :not(.video)")) made.remove();
}

/**
 * Let a format be made; return whether it is there.
 *
 * @param {string} url
 */
async function makeFormat(url) {
  const startedAt = Date.now();
  let requestedAt = 0;
  while (Date.now() - startedAt < MAX_WAIT) {
    try {
      if (Date.now() - requestedAt >= REQUEST_INTERVAL) {
        const { status } = await fetch(url, { method: "POST" });
        if (status === 200) return true;
        if (status !== 202) return false;
        requestedAt = Date.now();
      } else if ((await fetch(url, { method: "HEAD" })).ok) return true;
    } catch {
      // The network is lost for a moment; the next look finds out.
    }
    await sleep(LOOK_INTERVAL);
  }
  return false;
}
