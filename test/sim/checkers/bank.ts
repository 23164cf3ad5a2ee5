/**
 * The bank: transfers move money between accounts, so every consistent reading of all accounts has the same sum.
 *
 * Not here: whether the readings are recent (monotonic.ts, register.ts).
 */
import type { Operation, Violation } from '../history.ts'

/** A reading of all accounts in one transaction. */
export interface BankReading extends Operation {
  /** Absent: the answer never came. */
  readonly balances: ReadonlyMap<string, number> | undefined
}

export interface BankOptions {
  readonly accounts: readonly string[]
  readonly total: number
  /** False when the database promised that no balance falls below zero. */
  readonly mayBeNegative: boolean
}

export function checkBank(
  readings: readonly BankReading[],
  { accounts, total, mayBeNegative }: BankOptions,
): Violation[] {
  const out: Violation[] = []
  for (const { index, status, balances } of readings) {
    if (status !== 'ok' || balances === undefined) continue
    const report = (kind: string, message: string) =>
      out.push({ kind, message: `reading ${index}: ${message}`, operations: [index] })
    const missing = accounts.filter((account) => !balances.has(account))
    if (missing.length > 0) report('missing-account', `without ${missing.join(', ')}`)
    const unknown = [...balances.keys()].filter((account) => !accounts.includes(account))
    if (unknown.length > 0) report('unknown-account', unknown.join(', '))
    let sum = 0
    for (const [account, balance] of balances) {
      sum += balance
      if (balance < 0 && !mayBeNegative) report('negative-balance', `${account} has ${balance}`)
    }
    if (sum !== total) report('wrong-total', `the accounts hold ${sum} instead of ${total}`)
  }
  return out
}
