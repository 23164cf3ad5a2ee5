/**
 * All code of this folder, gathered by prosrc (aggregates by name and argument types).
 *
 * Not here: looking it up (registry.ts).
 */
import { aggregateCode } from './aggregates.ts'
import { jsonAggregateCode } from './aggregates-json.ts'
import { orderedSetCode } from './aggregates-ordered.ts'
import { statisticsCode } from './aggregates-statistics.ts'
import { arrayCode, arrayMakers } from './array.ts'
import { byteaCode } from './bytea.ts'
import { castCode } from './casts.ts'
import { comparisonCode, comparisonMakers } from './comparisons.ts'
import { datetimeCode } from './datetime.ts'
import { datetimeCompareCode } from './datetime-compare.ts'
import { datetimePartCode } from './datetime-part.ts'
import { encodingCode } from './encoding.ts'
import { floatCode } from './float.ts'
import type { AggregateCode, FunctionCode, FunctionMaker, WindowCode } from './function.ts'
import { generalCode, generalMakers } from './general.ts'
import { hashCode } from './hash.ts'
import { integerCode } from './integer.ts'
import { intervalCode } from './interval.ts'
import { jsonCode } from './json.ts'
import { jsonOutputCode, jsonOutputMakers } from './json-output.ts'
import { jsonRecordMakers, jsonRecordSetMakers } from './json-record.ts'
import { jsonSetMakers } from './json-sets.ts'
import { jsonbChangeCode, jsonbChangeMakers } from './jsonb-change.ts'
import { jsonPathMakers, jsonPathSetMakers } from './jsonpath-functions.ts'
import { likeCode, likeMakers } from './like.ts'
import { networkCode } from './network.ts'
import { numericCode } from './numeric.ts'
import { regexpCode, regexpMakers, regexpSetMakers } from './regexp.ts'
import { setMakers } from './sets.ts'
import { textCode } from './text.ts'
import { formatMakers } from './text-format.ts'
import { toCharCode } from './to-char.ts'
import { toCharNumberCode } from './to-char-number.ts'
import { toNumberCode } from './to-number.ts'
import { toTimestampCode } from './to-timestamp.ts'
import { windowCode } from './window.ts'

/** Code that is the same at every call site. */
export const builtinCode: Record<string, FunctionCode> = {
  ...arrayCode,
  ...byteaCode,
  ...castCode,
  ...comparisonCode,
  ...datetimeCode,
  ...datetimeCompareCode,
  ...datetimePartCode,
  ...encodingCode,
  ...floatCode,
  ...generalCode,
  ...hashCode,
  ...integerCode,
  ...intervalCode,
  ...jsonCode,
  ...jsonOutputCode,
  ...jsonbChangeCode,
  ...likeCode,
  ...networkCode,
  ...numericCode,
  ...regexpCode,
  ...textCode,
  ...toCharCode,
  ...toCharNumberCode,
  ...toNumberCode,
  ...toTimestampCode,
}

/** Code made for a call site. */
export const builtinMakers: Record<string, FunctionMaker> = {
  ...arrayMakers,
  ...comparisonMakers,
  ...formatMakers,
  ...generalMakers,
  ...jsonOutputMakers,
  ...jsonPathMakers,
  ...jsonRecordMakers,
  ...jsonbChangeMakers,
  ...likeMakers,
  ...regexpMakers,
}

/** Code of set-returning functions, made for a call site. */
export const builtinSetMakers: Record<string, FunctionMaker> = {
  ...jsonRecordSetMakers,
  ...jsonPathSetMakers,
  ...jsonSetMakers,
  ...regexpSetMakers,
  ...setMakers,
}

export const builtinAggregates: Record<string, AggregateCode> = {
  ...aggregateCode,
  ...jsonAggregateCode,
  ...orderedSetCode,
  ...statisticsCode,
}

export const builtinWindows: Record<string, WindowCode> = windowCode
