/**
 * Content types, as far as this port tells them apart.
 *
 * Not here: what is done with each (event-body.ts).
 */

/** `application/json` of `Application/JSON; charset=utf-8`. */
export function mediaType(header: string): string {
  const end = header.indexOf(';')
  return (end < 0 ? header : header.slice(0, end)).trim().toLowerCase()
}

export function isJson(type: string): boolean {
  return type === 'application/json' || type.endsWith('+json')
}

export function isNdjson(type: string): boolean {
  return /^application\/(x-)?(ndjson|jsonl|jsonlines)$/.test(type)
}

/** Events with keys and times of the sender's: one object, an array of them, or one a line. */
export const envelopes = 'application/vnd.lattice.events+json'
export const envelopeLines = 'application/vnd.lattice.events+ndjson'
export const eventStream = 'text/event-stream'

/**
 * The one of `offers` that the Accept header likes best, the first of them when it does not care; undefined when it
 * takes none of them.
 */
export function negotiate(accept: string | undefined, offers: readonly string[]): string | undefined {
  if (accept === undefined || accept.trim() === '') return offers[0]
  let best: string | undefined
  let bestQuality = 0
  for (const offer of offers) {
    const quality = qualityOf(accept, offer)
    if (quality > bestQuality) {
      best = offer
      bestQuality = quality
    }
  }
  return best
}

/** The most specific range that matches decides. */
function qualityOf(accept: string, offer: string): number {
  let specific = -1
  let quality = 0
  for (const part of accept.split(',')) {
    const [range, ...parameters] = part.split(';').map((p) => p.trim().toLowerCase())
    const found =
      range === offer ? 2 : range === `${offer.slice(0, offer.indexOf('/'))}/*` ? 1 : range === '*/*' ? 0 : -1
    if (found < 0 || found < specific) continue
    specific = found
    const q = parameters.find((p) => p.startsWith('q='))
    const given = q === undefined ? 1 : Number(q.slice(2))
    quality = given >= 0 && given <= 1 ? given : 0
  }
  return quality
}
