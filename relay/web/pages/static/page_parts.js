/** Finds a part of `page.html`, with its type. A part that is missing is a mistake of ours, and said at once. */

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new TypeError(`page.html has no ${type.name} #${id}`);
  return element;
}
