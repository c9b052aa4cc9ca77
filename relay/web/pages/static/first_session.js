/**
 * Opens the page's first session before the rest of the page is there: a pupil who comes into a running lesson waits
 * for the slowest of what must be loaded, and the session should not be it. Runs as soon as it and `whep.js` have come.
 *
 * Not here: what becomes of the session, and every later one (`session.js`).
 */

import { openWhep } from "./whep.js";

const url = document.documentElement.dataset["whepUrl"] ?? "";

/** Taken by `session.js` in place of its first try; fails as `openWhep` does. */
export const firstSession = openWhep(url, new AbortController().signal);

// Whoever takes it hears of a failure; until then it is nobody's.
firstSession.catch(() => undefined);
