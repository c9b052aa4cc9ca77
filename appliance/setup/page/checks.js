// The list of the pre-flight's findings: each with a word, what was found, and what to do about it.

/**
 * @typedef {object} Finding
 * @property {string} check
 * @property {"ok" | "failed" | "skipped"} outcome
 * @property {string} told
 * @property {string} why
 */

/** @param {string} kind @param {string} text @param {string} [lang] */
function part(kind, text, lang) {
  const element = document.createElement(kind === "mark" || kind === "what" ? "span" : "p");
  element.className = kind;
  element.textContent = text;
  if (lang) element.lang = lang;
  return element;
}

/**
 * @param {HTMLElement} list
 * @param {Finding[]} findings
 * @param {(key: string) => string} word
 */
export function showFindings(list, findings, word) {
  list.replaceChildren(
    ...findings.map((finding) => {
      const item = document.createElement("li");
      item.dataset.outcome = finding.outcome;
      item.dataset.check = finding.check;
      item.append(part("mark", word(finding.outcome)), part("what", word(`check_${finding.check}`)));
      const fix = finding.outcome === "ok" ? "" : word(`fix_${finding.why}`);
      if (fix) item.append(part("fix", fix));
      item.append(part("told", finding.told, "en")); // the kit's own words, as in its log
      return item;
    }),
  );
}
