/**
 * Notices that time or network jumped under the page: sleep, another network, back from the background or the history.
 */

/** Timers of a visible page run each second; a gap this long means that the machine slept. */
const GAP_MS = 5000;

/** A page hidden for longer than this may have been frozen, and its connections cut, by the browser. */
const HIDDEN_MS = 15_000;

/**
 * @param {() => void} onWake   connections from before may be dead
 * @param {() => void} onReturn the pupil looks again: retry at once whatever is waiting
 */
export function watchWaking(onWake, onReturn) {
  let ticked_ms = Date.now();
  let hidden_ms = ticked_ms;
  setInterval(() => {
    const gap_ms = Date.now() - ticked_ms;
    ticked_ms = Date.now();
    if (gap_ms > GAP_MS && document.visibilityState === "visible") onWake();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") {
      hidden_ms = Date.now();
      return;
    }
    onReturn();
    ticked_ms = Date.now();
    if (ticked_ms - hidden_ms > HIDDEN_MS) onWake();
  });
  window.addEventListener("online", onWake);
}
