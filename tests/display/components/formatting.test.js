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
  percent: "{number} %",
  seconds: "{count} s",
  minutes: "{count} min",
  none_ahead: "yours is next, about {time}",
  one_ahead: "one photo ahead of yours, about {time}",
  many_ahead: "{count} photos ahead of yours, about {time}",
  one_dream: "one dream",
  many_dreams: "{count} dreams",
  verdict: "{name}: from {photo} to {dream}",
};

test("placeholders are filled in, and those without a value stay", () => {
  assert.equal(fill("{a} and {a}, {b}, {c}", { a: 1, b: 0 }), "1 and 1, 0, {c}");
});

test("values are text, whatever they contain", () => {
  assert.equal(fill("{title} by {artist}", { title: "$& {artist}", artist: "$1" }), "$& {artist} by $1");
});

test("one thing is counted in other words than many, and none like many", () => {
  const counted = [0, 1, 2].map((count) => formatCount(TEXTS, count, "one_dream", "many_dreams"));
  assert.deepEqual(counted, ["0 dreams", "one dream", "2 dreams"]);
});

test("a percentage has a decimal only below one percent", () => {
  const shares = [0, 0.0004, 0.0031, 0.0099, 0.01, 0.031, 0.712, 1];
  const formatted = shares.map((share) => formatPercent(TEXTS, share));
  assert.deepEqual(formatted, ["0 %", "0 %", "0.3 %", "1 %", "1 %", "3 %", "71 %", "100 %"]);
  assert.equal(formatPercent({ ...TEXTS, language: "de" }, 0.0031), "0,3 %");
});

test("a duration is as rough as an estimate", () => {
  const formatted = [0, 0.4, 1, 9.4, 10, 12, 13, 90, 91, 150].map((seconds) => formatDuration(TEXTS, seconds));
  const expected = ["1 s", "1 s", "1 s", "9 s", "10 s", "10 s", "15 s", "90 s", "2 min", "3 min"];
  assert.deepEqual(formatted, expected);
});

test("a guest reads how many photos come first", () => {
  const formatted = [0, 1, 2].map((ahead) => formatQueuePosition(TEXTS, ahead, 14));
  assert.deepEqual(formatted, [
    "yours is next, about 15 s",
    "one photo ahead of yours, about 15 s",
    "2 photos ahead of yours, about 15 s",
  ]);
});

test("each class has a line with its probability before and after", () => {
  const verdicts = [["peacock", 0.031, 0.712], ["hen", 0, 0.001]];
  assert.equal(formatVerdicts(TEXTS, verdicts), "peacock: from 3 % to 71 %\nhen: from 0 % to 0.1 %");
  assert.equal(formatVerdicts(TEXTS, []), "");
});

test("a time is written as the language does", () => {
  const noon = Date.UTC(2026, 10, 28, 12) / 1000;
  const options = { dateStyle: "long", timeZone: "UTC" };
  assert.equal(formatTime(TEXTS, noon, options), "November 28, 2026");
  assert.equal(formatTime({ ...TEXTS, language: "de" }, noon, options), "28. November 2026");
});
