/**
 * What guests read, in one language, by key: the tables of `display/i18n`.
 *
 * @typedef {Record<string, string>} Texts
 */

// Seconds above which a duration is given in minutes.
const MINUTES_FROM = 90;

/**
 * Fill in a text's {placeholders}; those without a value stay.
 *
 * @param {string} text
 * @param {Record<string, unknown>} values
 */
export const fill = (text, values) =>
  text.replace(/\{(\w+)\}/g, (placeholder, name) => (name in values ? String(values[name]) : placeholder));

/**
 * Fill in the text for a number of things: `one` for exactly one, `many` for all others.
 *
 * @param {Texts} texts
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
export const formatCount = (texts, count, one, many) => fill(texts[count === 1 ? one : many], { count });

/**
 * Format a share of 1: “3 %”, and “0.3 %” below one percent.
 *
 * @param {Texts} texts
 * @param {number} share
 */
export function formatPercent(texts, share) {
  const digits = share > 0 && share < 0.01 ? 1 : 0;
  return fill(texts.percent, { number: (100 * share).toLocaleString(texts.language, { maximumFractionDigits: digits }) });
}

/**
 * Format an estimate: seconds up to ten, then in steps of five, then minutes.
 *
 * @param {Texts} texts
 * @param {number} seconds
 */
export function formatDuration(texts, seconds) {
  if (seconds > MINUTES_FROM) return fill(texts.minutes, { count: Math.round(seconds / 60) });
  const step = seconds < 10 ? 1 : 5; // the estimate is no more precise
  return fill(texts.seconds, { count: Math.max(1, step * Math.round(seconds / step)) });
}

/**
 * Say how many photos come first and how long that takes: “2 photos ahead of yours, about 15 s”.
 *
 * @param {Texts} texts
 * @param {number} ahead
 * @param {number} seconds
 */
export function formatQueuePosition(texts, ahead, seconds) {
  const text = texts[["none_ahead", "one_ahead"][ahead] ?? "many_ahead"];
  return fill(text, { count: ahead, time: formatDuration(texts, seconds) });
}

/**
 * Say how sure the network was and is of each class, a line for each: “peacock: from 3 % to 71 %”.
 *
 * @param {Texts} texts
 * @param {[string, number, number][]} verdicts class, probability in the photo, probability in the dream
 */
export const formatVerdicts = (texts, verdicts) =>
  verdicts
    .map(([name, photo, dream]) =>
      fill(texts.verdict, { name, photo: formatPercent(texts, photo), dream: formatPercent(texts, dream) }),
    )
    .join("\n");

/**
 * Format a moment in the reader's time zone.
 *
 * @param {Texts} texts
 * @param {number} seconds since the epoch
 * @param {Intl.DateTimeFormatOptions} options
 */
export const formatTime = (texts, seconds, options) => new Date(1000 * seconds).toLocaleString(texts.language, options);
