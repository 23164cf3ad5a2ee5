/** `node:assert/strict` as far as the stores' tests use it, in a page. */
class Failed extends Error {}

function fail(message: string | undefined, what: string): never {
  throw new Failed(message === undefined ? what : `${message}: ${what}`)
}

function show(value: unknown): string {
  return value instanceof Error ? String(value) : (JSON.stringify(value) ?? String(value))
}

function isEqual(a: any, b: any): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  if (a instanceof Map || a instanceof Set) return isEqual([...a], [...b])
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key]))
}

/** An error against a class, an expression, a function, or an object of members. */
function checkError(error: any, expected: any): void {
  if (expected === undefined) return
  if (expected instanceof RegExp) {
    if (!expected.test(String(error))) fail(undefined, `${error} does not match ${expected}`)
  } else if (typeof expected === 'function') {
    if (expected.prototype !== undefined && error instanceof expected) return
    if (expected(error) !== true) fail(undefined, `${error} is not what was expected`)
  } else {
    for (const [name, value] of Object.entries(expected)) {
      const found = error[name]
      if (value instanceof RegExp ? value.test(found) : isEqual(found, value)) continue
      fail(undefined, `${name} of ${error} is ${show(found)}, not ${show(value)}`)
    }
  }
}

const assert = Object.assign(
  (value: unknown, message?: string) => {
    if (!value) fail(message, `${show(value)} is not true`)
  },
  {
    ok: (value: unknown, message?: string) => {
      if (!value) fail(message, `${show(value)} is not true`)
    },
    equal: (a: unknown, b: unknown, message?: string) => {
      if (!Object.is(a, b)) fail(message, `${show(a)} is not ${show(b)}`)
    },
    notEqual: (a: unknown, b: unknown, message?: string) => {
      if (Object.is(a, b)) fail(message, `both are ${show(a)}`)
    },
    deepEqual: (a: unknown, b: unknown, message?: string) => {
      if (!isEqual(a, b)) fail(message, `${show(a)} is not ${show(b)}`)
    },
    notDeepEqual: (a: unknown, b: unknown, message?: string) => {
      if (isEqual(a, b)) fail(message, `both are ${show(a)}`)
    },
    match: (text: string, pattern: RegExp, message?: string) => {
      if (!pattern.test(text)) fail(message, `${show(text)} does not match ${pattern}`)
    },
    doesNotMatch: (text: string, pattern: RegExp, message?: string) => {
      if (pattern.test(text)) fail(message, `${show(text)} matches ${pattern}`)
    },
    throws: (run: () => unknown, expected?: unknown) => {
      try {
        run()
      } catch (error) {
        return checkError(error, expected)
      }
      fail(undefined, 'nothing was thrown')
    },
    rejects: async (run: Promise<unknown> | (() => Promise<unknown>), expected?: unknown) => {
      try {
        await (typeof run === 'function' ? run() : run)
      } catch (error) {
        return checkError(error, expected)
      }
      fail(undefined, 'it was not rejected')
    },
  },
)

export { assert as strict }
export default assert
