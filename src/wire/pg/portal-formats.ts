/**
 * The result formats that each Bind asked for, kept beside the session's portals, which know nothing of formats.
 *
 * The unnamed portal's stand apart, since nearly every Bind replaces them. A named portal may have ended with its
 * transaction and the name been taken by a cursor of SQL's DECLARE: so the portal itself is compared.
 *
 * Not here: applying them (rows.ts).
 */
import type { Portal } from '../../sql/session-api.ts'

/** All columns in text. */
export const noFormats: readonly number[] = []

export class PortalFormats {
  readonly #named = new Map<string, { readonly portal: Portal; readonly formats: readonly number[] }>()
  #unnamed = noFormats

  bound(name: string, portal: Portal, formats: readonly number[]): void {
    if (name === '') this.#unnamed = formats
    else this.#named.set(name, { portal, formats })
  }

  of(name: string, portal: Portal): readonly number[] {
    if (name === '') return this.#unnamed
    const bound = this.#named.get(name)
    return bound !== undefined && bound.portal === portal ? bound.formats : noFormats
  }

  closed(name: string): void {
    this.#named.delete(name)
  }

  clear(): void {
    if (this.#named.size > 0) this.#named.clear()
  }
}
