/**
 * What the page remembers in this browser: language, volume, shortcuts, how much picture, where replays were stopped.
 * Nothing of it is ever sent anywhere.
 *
 * Storage may be forbidden (private windows, strict settings): then the page works the same and forgets.
 */

const PREFIX = "parta.";

/** @typedef {"language" | "volume" | "keys" | "picture" | "resume"} Name */

/**
 * @param {Name} name
 * @returns {string | null}
 */
export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}

/**
 * @param {Name} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
