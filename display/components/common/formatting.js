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
 * Fill in the text for a number of things, by the language's plural rules (CLDR): `KEY_one`, `KEY_other`, …
 *
 * @param {Texts} texts
 * @param {number} count
 * @param {string} key
 */
export function formatCount(texts, count, key) {
  const category = new Intl.PluralRules(texts.language).select(count);
  const text = texts[`${key}_${category}`] ?? texts[`${key}_other`];
  return fill(text, { count: count.toLocaleString(texts.language) });
}

/**
 * Format a share of 1: “3%”, and “0.3%” below one percent.
 *
 * @param {Texts} texts
 * @param {number} share
 */
export function formatPercent(texts, share) {
  const maximumFractionDigits = share > 0 && share < 0.01 ? 1 : 0;
  return share.toLocaleString(texts.language, { style: "percent", maximumFractionDigits });
}

/**
 * Format a number of seconds or minutes: “14 sec”.
 *
 * @param {Texts} texts
 * @param {number} count
 * @param {"second" | "minute"} unit
 */
export const formatUnit = (texts, count, unit) =>
  count.toLocaleString(texts.language, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 });

/**
 * Format an estimate: seconds up to ten, then in steps of five, then minutes.
 *
 * @param {Texts} texts
 * @param {number} seconds
 */
export function formatDuration(texts, seconds) {
  if (seconds > MINUTES_FROM) return formatUnit(texts, Math.round(seconds / 60), "minute");
  const step = seconds < 10 ? 1 : 5; // the estimate is no more precise
  return formatUnit(texts, Math.max(1, step * Math.round(seconds / step)), "second");
}

/**
 * Say how many photos come first and how long that takes: “2 photos ahead of yours, about 15 sec”.
 *
 * @param {Texts} texts
 * @param {number} ahead
 * @param {number} seconds
 */
export function formatQueuePosition(texts, ahead, seconds) {
  const text = ahead === 0 ? texts.ahead_none : formatCount(texts, ahead, "ahead");
  return fill(text, { time: formatDuration(texts, seconds) });
}

/**
 * Say how sure the network was and is of each class, a line for each: “peacock: from 3% to 71%”.
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
