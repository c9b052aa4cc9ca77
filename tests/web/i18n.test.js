/** Both languages say everything, and the page asks only for what they say. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

import { clock, day, otherLanguage, pickLanguage, say, spokenLength, spokenTime, WORDS } from "../../relay/web/pages/static/i18n.js";

const PAGES = new URL("../../relay/web/pages/", import.meta.url);
const HTML = readFileSync(new URL("page.html", PAGES), "utf8");
const MODULES = readdirSync(new URL("static/", PAGES)).filter((name) => name.endsWith(".js"));

/** @typedef {import("../../relay/web/pages/static/i18n.js").Key} Key */
/** @type {Set<string>} */
const KEYS = new Set(Object.keys(WORDS.ru));

test("Russian and English have the same keys, and no empty text", () => {
  assert.deepEqual(Object.keys(WORDS.en).sort(), Object.keys(WORDS.ru).sort());
  for (const words of Object.values(WORDS)) {
    for (const [key, text] of Object.entries(words)) assert.notEqual(text.trim(), "", key);
  }
});

test("both languages have the same places for values", () => {
  for (const key of /** @type {Set<Key>} */ (KEYS)) {
    const places = (/** @type {string} */ text) => [...text.matchAll(/\{\w+\}/gu)].map(String).sort();
    assert.deepEqual(places(WORDS.en[key]), places(WORDS.ru[key]), key);
  }
});

test("the Russian is in Cyrillic, and the English is not", () => {
  for (const key of /** @type {Set<Key>} */ (KEYS)) {
    assert.match(WORDS.ru[key], /[а-яё]/iu, key);
    assert.doesNotMatch(WORDS.en[key], /[а-яё]/iu, key);
  }
});

test("every word that page.html asks for exists", () => {
  const asked = [...HTML.matchAll(/data-(?:say|label)="([^"]+)"/gu)].map((match) => match[1] ?? "");
  assert.ok(asked.length > 10);
  for (const key of asked) assert.ok(KEYS.has(key), key);
});

test("every word is asked for somewhere", () => {
  const sources = MODULES.filter((name) => name !== "i18n.js").map((name) => readFileSync(new URL(`static/${name}`, PAGES), "utf8"));
  const all = sources.join("\n") + HTML;
  const byKind = /\.(title|detail)$/u;
  for (const key of KEYS) assert.ok((byKind.test(key) && key !== "stills.title") || all.includes(`"${key}"`), key);
});

test("what the server writes before any script runs is what the script writes", () => {
  for (const words of Object.values(WORDS)) {
    assert.ok(HTML.includes(words["connecting.title"]), words["connecting.title"]);
    assert.ok(HTML.includes(words["connecting.detail"]), words["connecting.detail"]);
  }
});

test("every module is preloaded, so that the page is ready after two round trips", () => {
  const list = HTML.match(/for module in \[([^\]]+)\]/u)?.[1] ?? "";
  const preloaded = [...list.matchAll(/"(\w+)"/gu)].map((match) => `${match[1]}.js`);
  const scripts = [...HTML.matchAll(/<script[^>]*src="\/static\/(\w+\.js)"/gu)].map((match) => match[1]);
  assert.deepEqual([...preloaded, ...scripts].sort(), [...MODULES].sort());
});

test("nothing inline that the page's content security policy would refuse", () => {
  const templates = readdirSync(PAGES).filter((name) => /\.(html|svg)$/u.test(name));
  for (const name of templates) {
    const text = readFileSync(new URL(name, PAGES), "utf8");
    assert.doesNotMatch(text, /<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/u, name);
    assert.doesNotMatch(text, /(?:src|href)="(?:https?:)?\/\//u, name);
  }
});

test("values are put in their places", () => {
  assert.equal(say("en", "lesson.watching", { count: 3 }), "Watching: 3");
  assert.equal(say("ru", "lesson.since", { time: "10:05" }), "Идёт с 10:05");
});

test("times are shown as a timetable shows them", () => {
  const afternoon = new Date(2026, 0, 12, 14, 5).getTime();
  assert.equal(clock("ru", afternoon), "14:05");
  assert.equal(clock("en", afternoon), "14:05");
  assert.equal(clock("en", new Date(2026, 0, 12, 0, 7).getTime()), "00:07");
});

test("the pupil's choice goes before the browser's language, and nonsense counts for nothing", () => {
  assert.equal(pickLanguage("en", "ru"), "en");
  assert.equal(pickLanguage(null, "en"), "en");
  assert.equal(pickLanguage("xx", "en"), "en");
  assert.equal(pickLanguage(null, "xx"), "ru");
  assert.equal(otherLanguage(otherLanguage("ru")), "ru");
});

test("a time is spoken in whole words, without what is zero", () => {
  assert.equal(spokenTime("ru", 125), "2 минуты 5 секунд");
  assert.equal(spokenTime("en", 3600), "1 hour");
  assert.equal(spokenTime("en", 0.4), "0 seconds");
});

test("a length is said no more exactly than one cares", () => {
  assert.match(spokenLength("ru", 2703), /^45\s?мин/u);
  assert.match(spokenLength("en", 47.6), /^48\s?sec/u);
  assert.match(spokenLength("en", 0.2), /^1\s?sec/u);
});

test("a day is that of a timetable", () => {
  assert.equal(day("ru", new Date(2026, 10, 30, 12).getTime()), "понедельник, 30 ноября");
  assert.match(day("en", new Date(2026, 10, 30, 12).getTime()), /Monday/u);
});
