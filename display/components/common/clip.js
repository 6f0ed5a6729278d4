import { prefersReducedMotion } from "./motion.js";

/**
 * Load a clip, and show it as soon as it can play. It starts by itself unless the reader prefers reduced motion.
 *
 * @param {HTMLVideoElement} video
 * @param {string} source
 * @param {string} label for screen readers
 * @param {() => void} [onMissing] called if there is no such clip
 */
export function showClip(video, source, label, onMissing) {
  video.hidden = true;
  video.onloadeddata = () => {
    video.hidden = false;
    if (!prefersReducedMotion()) video.play().catch(() => {}); // browsers that save power refuse to
  };
  video.onerror = onMissing ?? null;
  video.controls = prefersReducedMotion();
  video.setAttribute("aria-label", label);
  video.src = source;
}

/**
 * Hide a clip, and let go of it: a video without a source loads and plays nothing.
 *
 * @param {HTMLVideoElement} video
 */
export function removeClip(video) {
  video.hidden = true;
  video.onloadeddata = video.onerror = null;
  video.removeAttribute("src");
  video.load();
}
