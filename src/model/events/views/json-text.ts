/**
 * States as text. A state is kept as JSON, so what JSON would silently change (NaN, dates, maps, functions) is refused
 * where it arises: a view must not mean one thing before a restart and another after it.
 *
 * Not here: the types of events (typed-store.ts).
 */
const maxDepth = 200

/** JSON text of `value`. Throws a TypeError that says where the value is no JSON. Absent and undefined properties are one. */
export function jsonText(value: unknown): string {
  const wrong = fault(value, '', 0)
  if (wrong !== undefined) throw new TypeError(`not JSON: ${wrong}`)
  return JSON.stringify(value)
}

/** What is wrong with a value, and where (a JSON pointer), or undefined. */
function fault(value: unknown, path: string, depth: number): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : `${value} at ${path || 'the top'}`
    case 'object':
      break
    default:
      return `${typeof value} at ${path || 'the top'}`
  }
  if (value === null) return undefined
  if (depth === maxDepth) return `deeper than ${maxDepth} levels at ${path}`
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const wrong = fault(value[i], `${path}/${i}`, depth + 1)
      if (wrong !== undefined) return wrong
    }
    return undefined
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    return `an object of ${prototype.constructor?.name ?? 'a class'} at ${path || 'the top'}`
  }
  for (const name of Object.keys(value)) {
    const inner = (value as Record<string, unknown>)[name]
    const wrong = inner === undefined ? undefined : fault(inner, `${path}/${name}`, depth + 1)
    if (wrong !== undefined) return wrong
  }
  return undefined
}
