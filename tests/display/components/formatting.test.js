import assert from "node:assert/strict";
import { test } from "node:test";
import {
  fill,
  formatCount,
  formatDuration,
  formatPercent,
  formatQueuePosition,
  formatTime,
  formatVerdicts,
} from "../../../display/components/common/formatting.js";

const TEXTS = {
  language: "en",
  ahead_none: "yours is next, about {time}",
  ahead_one: "one photo ahead of yours, about {time}",
  ahead_other: "{count} photos ahead of yours, about {time}",
  dreams_one: "one dream",
  dreams_other: "{count} dreams",
  verdict: "{name}: from {photo} to {dream}",
};

test("placeholders are filled in, and those without a value stay", () => {
  assert.equal(fill("{a} and {a}, {b}, {c}", { a: 1, b: 0 }), "1 and 1, 0, {c}");
});

test("values are text, whatever they contain", () => {
  assert.equal(fill("{title} by {artist}", { title: "$& {artist}", artist: "$1" }), "$& {artist} by $1");
});

test("one thing is counted in other words than many, and none like many", () => {
  const counted = [0, 1, 2, 4200].map((count) => formatCount(TEXTS, count, "dreams"));
  assert.deepEqual(counted, ["0 dreams", "one dream", "2 dreams", "4,200 dreams"]);
});

test("each language counts by its own rules", () => {
  const french = { language: "fr", dreams_one: "{count} rêve", dreams_other: "{count} rêves" };
  assert.deepEqual([0, 1, 2].map((count) => formatCount(french, count, "dreams")), ["0 rêve", "1 rêve", "2 rêves"]);
  assert.equal(formatCount({ language: "ja", dreams_other: "夢 {count} 点" }, 1, "dreams"), "夢 1 点");
});

test("a percentage has a decimal only below one percent", () => {
  const shares = [0, 0.0004, 0.0031, 0.0099, 0.01, 0.031, 0.712, 1];
  const formatted = shares.map((share) => formatPercent(TEXTS, share));
  assert.deepEqual(formatted, ["0%", "0%", "0.3%", "1%", "1%", "3%", "71%", "100%"]);
  assert.equal(formatPercent({ ...TEXTS, language: "de" }, 0.0031), "0,3\u00a0%");
});

test("a duration is as rough as an estimate", () => {
  const formatted = [0, 0.4, 1, 9.4, 10, 12, 13, 90, 91, 150].map((seconds) => formatDuration(TEXTS, seconds));
  const expected = ["1 sec", "1 sec", "1 sec", "9 sec", "10 sec", "10 sec", "15 sec", "90 sec", "2 min", "3 min"];
  assert.deepEqual(formatted, expected);
});

test("a guest reads how many photos come first", () => {
  const formatted = [0, 1, 2].map((ahead) => formatQueuePosition(TEXTS, ahead, 14));
  assert.deepEqual(formatted, [
    "yours is next, about 15 sec",
    "one photo ahead of yours, about 15 sec",
    "2 photos ahead of yours, about 15 sec",
  ]);
});

test("each class has a line with its probability before and after", () => {
  const verdicts = [["peacock", 0.031, 0.712], ["hen", 0, 0.001]];
  assert.equal(formatVerdicts(TEXTS, verdicts), "peacock: from 3% to 71%\nhen: from 0% to 0.1%");
  assert.equal(formatVerdicts(TEXTS, []), "");
});

test("a time is written as the language does", () => {
  const noon = Date.UTC(2026, 10, 28, 12) / 1000;
  const options = { dateStyle: "long", timeZone: "UTC" };
  assert.equal(formatTime(TEXTS, noon, options), "November 28, 2026");
  assert.equal(formatTime({ ...TEXTS, language: "de" }, noon, options), "28. November 2026");
});
