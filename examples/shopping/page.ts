/** The pages of the example, for whoever serves them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { importMap } from '../module-server.ts'

export function shoppingPage(path: string): string | undefined {
  if (path !== '/') return undefined
  const html = readFileSync(join(import.meta.dirname, 'index.html'), 'utf8')
  return html.replace('>{}<', `>${JSON.stringify(importMap)}<`)
}
