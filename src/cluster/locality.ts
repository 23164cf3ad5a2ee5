/**
 * Where a node is, from the widest to the narrowest place: region=eu,zone=a,host=h1. Nodes whose places differ early
 * fail independently; the score of a set says how independently.
 *
 * Not here: choosing nodes (placement.ts).
 */
import { DbError } from '../base/index.ts'

/** Names of tiers and their values, the widest first. */
export type Locality = Readonly<Record<string, string>>

/** Raises invalid_parameter_value. */
export function parseLocality(text: string): Locality {
  const out: Record<string, string> = {}
  for (const part of text.split(',')) {
    if (text.trim() === '') break
    const match = /^\s*([a-z_][a-z0-9_-]*)\s*=\s*([^\s=,][^=,]*?)\s*$/i.exec(part)
    if (match === null || Object.hasOwn(out, match[1])) {
      const problem = match === null ? 'is no tier' : 'names a tier twice'
      throw new DbError('invalid_parameter_value', `invalid locality "${text}": "${part.trim()}" ${problem}`, {
        hint: 'Write the widest place first, for example region=eu,zone=a,host=h1.',
      })
    }
    out[match[1]] = match[2]
  }
  return out
}

export function formatLocality(locality: Locality): string {
  return Object.entries(locality)
    .map(([tier, value]) => `${tier}=${value}`)
    .join(',')
}

/** 0 when two nodes share all tiers, 1 when they share none: what part of the tiers is not shared. */
export function distance(a: Locality, b: Locality): number {
  const left = Object.entries(a)
  const right = Object.entries(b)
  const tiers = Math.max(left.length, right.length)
  if (tiers === 0) return 0
  let shared = 0
  while (
    shared < Math.min(left.length, right.length) &&
    left[shared][0] === right[shared][0] &&
    left[shared][1] === right[shared][1]
  ) {
    shared++
  }
  return (tiers - shared) / tiers
}

/** The mean distance of all pairs of a set: 1 when no two share anything, 0 for fewer than two. */
export function diversity(set: readonly Locality[]): number {
  let sum = 0
  let pairs = 0
  for (let i = 0; i < set.length; i++) {
    for (let j = i + 1; j < set.length; j++) {
      sum += distance(set[i], set[j])
      pairs++
    }
  }
  return pairs === 0 ? 0 : sum / pairs
}
