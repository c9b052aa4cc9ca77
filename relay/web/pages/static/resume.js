/** Where a pupil stopped in each lesson: kept in this browser only, and for the newest lessons only. */

import { recall, remember } from "./memory.js";

/** A class has some thirty lessons a week, and the relay keeps them two weeks. */
const KEPT = 60;

/** Nobody remembers the first seconds, and what is left of the last ones is "the end". */
const WORTH_S = 15;

/** @typedef {[lesson: string, position_s: number]} Stop */

/**
 * Where to go on.
 * @param {string} lesson
 * @returns {number | null} null: from the beginning
 */
export function stoppedAt(lesson) {
  return readStops(recall("resume")).find(([id]) => id === lesson)?.[1] ?? null;
}

/**
 * @param {string} lesson
 * @param {number} position_s
 * @param {number} duration_s
 */
export function stopAt(lesson, position_s, duration_s) {
  remember("resume", JSON.stringify(noted(readStops(recall("resume")), lesson, position_s, duration_s)));
}

/**
 * The stops with one more. Pure.
 * @param {readonly Stop[]} stops  newest first
 * @param {string} lesson
 * @param {number} position_s
 * @param {number} duration_s
 * @returns {Stop[]}
 */
export function noted(stops, lesson, position_s, duration_s) {
  const others = stops.filter(([id]) => id !== lesson);
  const isWorth = position_s >= WORTH_S && position_s <= duration_s - WORTH_S;
  /** @type {Stop[]} */
  const own = isWorth ? [[lesson, Math.floor(position_s)]] : [];
  return [...own, ...others].slice(0, KEPT);
}

/**
 * Reads what was kept. Pure; what cannot be understood is nothing.
 * @param {string | null} text
 * @returns {Stop[]}
 */
export function readStops(text) {
  try {
    const raw = JSON.parse(text ?? "[]");
    return Array.isArray(raw) ? raw.filter(isStop) : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

/** @param {any} raw */
function isStop(raw) {
  return Array.isArray(raw) && typeof raw[0] === "string" && Number.isFinite(raw[1]) && raw[1] >= 0;
}
