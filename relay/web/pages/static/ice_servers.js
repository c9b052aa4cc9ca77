/**
 * Reads the TURN servers that the relay names in `Link` (RFC 8288; RFC 9725 §4.6). Pure.
 */

/** One link: its target, and its parameters up to the next link. */
const LINK = /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^",;\s]*))*)/g;
const PARAMETER = /;\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^",;\s]*))/g;

/**
 * Links of other relations are skipped, and so are servers whose credentials we cannot use.
 * @param {string | null} header  all `Link` headers in one, as `fetch` gives them
 * @returns {RTCIceServer[]}
 */
export function iceServers(header) {
  const found = [];
  for (const [, urls, rest] of (header ?? "").matchAll(LINK)) {
    const parameters = parametersOf(rest ?? "");
    const kind = parameters.get("credential-type") ?? "password";
    if (urls === undefined || parameters.get("rel") !== "ice-server" || kind !== "password") continue;
    const [username, credential] = [parameters.get("username"), parameters.get("credential")];
    if (username !== undefined && credential !== undefined) found.push({ urls, username, credential });
    else if (/^stuns?:/.test(urls)) found.push({ urls });
  }
  return found;
}

/** @param {string} text */
function parametersOf(text) {
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const [, name, quoted, bare] of text.matchAll(PARAMETER)) found.set((name ?? "").toLowerCase(), quoted ?? bare ?? "");
  return found;
}
