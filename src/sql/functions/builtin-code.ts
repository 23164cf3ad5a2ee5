/**
 * All code of this folder, gathered by prosrc (aggregates by name and argument types).
 *
 * Not here: looking it up (registry.ts).
 */
import { aggregateCode } from './aggregates.ts'
import { orderedSetCode } from './aggregates-ordered.ts'
import { statisticsCode } from './aggregates-statistics.ts'
import { castCode } from './casts.ts'
import { comparisonCode, comparisonMakers } from './comparisons.ts'
import { floatCode } from './float.ts'
import type { AggregateCode, FunctionCode, FunctionMaker, WindowCode } from './function.ts'
import { integerCode } from './integer.ts'
import { intervalCode } from './interval.ts'
import { numericCode } from './numeric.ts'
import { windowCode } from './window.ts'

/** Code that is the same at every call site. */
export const builtinCode: Record<string, FunctionCode> = {
  ...castCode,
  ...comparisonCode,
  ...floatCode,
  ...integerCode,
  ...intervalCode,
  ...numericCode,
}

/** Code made for a call site. */
export const builtinMakers: Record<string, FunctionMaker> = {
  ...comparisonMakers,
}

/** Code of set-returning functions, made for a call site. */
export const builtinSetMakers: Record<string, FunctionMaker> = {}

export const builtinAggregates: Record<string, AggregateCode> = {
  ...aggregateCode,
  ...orderedSetCode,
  ...statisticsCode,
}

export const builtinWindows: Record<string, WindowCode> = windowCode
