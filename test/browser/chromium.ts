/** Debian's Chromium under the control of a test; undefined where it is not installed. */
import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

/** Say why with `{ skip: withoutChromium }`. */
export const withoutChromium = existsSync(executablePath)
  ? false
  : `${executablePath} is not installed: apt-get install chromium`

export const screenshots = join(resolve(import.meta.dirname, '../..'), '.tmp/browser')

export function launch(): Promise<Browser> {
  mkdirSync(screenshots, { recursive: true })
  // A container's root may not have the sandbox; pages here are our own.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}
