/**
 * What every type must keep: text and binary forms come back as they were, and keys sort as values do.
 *
 * Random values; a failure prints fast-check's seed and path, and `fc.assert(…, { seed, path })` replays it. The seed of
 * a whole run can be set with the environment variable SEED.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../encoding/index.ts'
import { SqlArray } from './array.ts'
import { TimeTz } from './datetime-types.ts'
import { Interval } from './interval.ts'
import { type Jsonb, jsonNull, objectOf } from './jsonb.ts'
import { numericOf, parseNumeric } from './numeric.ts'
import { arrayTypeOf, builtinType, builtinTypeNamed, builtinTypes, compositeType, enumType } from './registry.ts'
import type { Type, TypeContext, Value } from './type.ts'

const seed = process.env.SEED === undefined ? undefined : Number(process.env.SEED)
const runs = { numRuns: 400, ...(seed === undefined ? {} : { seed }) }

const mood = enumType({ oid: 20000, name: 'mood', array: 20001 }, [
  { oid: 1, order: 1, label: 'sad' },
  { oid: 4, order: 1.5, label: 'so-so' },
  { oid: 2, order: 2, label: 'ok' },
  { oid: 3, order: 3, label: 'happy' },
])
const pair = compositeType({ oid: 20002, name: 'pair', array: 20003, relation: 20004 }, () => [
  { name: 'a', type: builtinType(23), typmod: -1 },
  { name: 'b', type: builtinType(25), typmod: -1 },
])

function contextIn(timeZone: string): TypeContext {
  return {
    timeZone,
    dateOrder: 'MDY',
    intervalStyle: 'postgres',
    extraFloatDigits: 1,
    byteaOutput: 'hex',
    transactionMicros: 0,
    statementMicros: 0,
    clockMicros: () => 0,
    random: () => 0.5,
    randomBytes: (length) => new Uint8Array(length),
    names: { lookup: () => 0, display: (_kind, oid) => String(oid) },
    types: { type: (oid) => builtinTypes.get(oid)! },
  }
}
const context = contextIn('Europe/Berlin')

const text = fc.string({ unit: 'grapheme', maxLength: 12 }).map((s) => s.replaceAll('\0', ''))
const int8 = fc.oneof(
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => (Number.isSafeInteger(Number(n)) ? Number(n) : n)),
)
const numeric = fc.oneof(
  fc.tuple(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), fc.nat(30)).map(([c, s]) => numericOf(c, s)),
  fc.tuple(fc.integer({ min: -1000, max: 1000 }), fc.nat(4)).map(([c, s]) => numericOf(c, s)),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '0', '0.00', '1e50', '1e-50').map((s) => parseNumeric(s)!),
)
const micros = fc.oneof(
  fc.integer({ min: -9_000_000_000_000_000, max: 9_000_000_000_000_000 }),
  fc
    .bigInt({ min: -211813488000000000n, max: 9223371331199999999n })
    .map((n) => (Number.isSafeInteger(Number(n)) ? Number(n) : n)),
  fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0),
)
const float = fc.oneof(fc.double(), fc.constantFrom(0, -0, Number.NaN, 1e15, 1e-5, 123456789012345680))
const bytes = fc.uint8Array({ maxLength: 8 }).map((b) => new Uint8Array(b))
const jsonb: fc.Arbitrary<Jsonb> = fc.letrec<{ value: Jsonb }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant<Jsonb>(jsonNull),
    fc.boolean(),
    text,
    numeric.filter((n) => typeof n.coefficient === 'bigint' || Number.isFinite(n.coefficient)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(text, tie('value')), { maxLength: 4 }).map((p) =>
      objectOf(
        p.map(([k]) => k),
        p.map(([, v]) => v),
      ),
    ),
  ),
})).value

function arrayOfArbitrary(element: number, item: fc.Arbitrary<Value>): fc.Arbitrary<SqlArray> {
  const nullable = fc.option(item, { nil: null, freq: 4 })
  return fc.oneof(
    fc
      .array(nullable, { maxLength: 5 })
      .map(
        (items) =>
          new SqlArray(element, items.length === 0 ? [] : [items.length], items.length === 0 ? [] : [1], items),
      ),
    fc
      .tuple(fc.array(nullable, { minLength: 4, maxLength: 4 }), fc.integer({ min: -2, max: 2 }))
      .map(([items, lower]) => new SqlArray(element, [2, 2], [lower, 1], items)),
  )
}

const arbitraries: Record<string, fc.Arbitrary<Value>> = {
  bool: fc.boolean(),
  int2: fc.integer({ min: -32768, max: 32767 }),
  int4: fc.integer(),
  int8,
  oid: fc.nat(0xffffffff),
  float4: float.map((f) => Math.fround(f)),
  float8: float,
  numeric,
  text,
  varchar: text,
  bpchar: text,
  // Longer ones are cut.
  name: text.filter((s) => Buffer.byteLength(s) < 64),
  bytea: bytes,
  uuid: fc.uuid(),
  date: fc.oneof(
    fc.integer({ min: -2451545, max: 2145031948 }),
    fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  ),
  time: fc.integer({ min: 0, max: 86_400_000_000 }),
  timetz: fc
    .tuple(fc.integer({ min: 0, max: 86_400_000_000 }), fc.integer({ min: -54000, max: 54000 }))
    .map(([t, z]) => new TimeTz(t, z)),
  timestamp: micros,
  timestamptz: micros,
  interval: fc
    .tuple(
      fc.integer({ min: -100000, max: 100000 }),
      fc.integer({ min: -100000, max: 100000 }),
      fc.integer({ min: -(2 ** 45), max: 2 ** 45 }),
    )
    .map(([m, d, t]) => new Interval(m, d, t)),
  jsonb,
  bit: fc.array(fc.constantFrom('0', '1'), { maxLength: 20 }).map((b) => b.join('')),
  inet: fc.tuple(fc.ipV4(), fc.nat(32)).map(([ip, bits]) => (bits === 32 ? ip : `${ip}/${bits}`)),
  macaddr: fc
    .uint8Array({ minLength: 6, maxLength: 6 })
    .map((b) => [...b].map((x) => x.toString(16).padStart(2, '0')).join(':')),
  pg_lsn: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((n) => (Number.isSafeInteger(Number(n)) ? Number(n) : n)),
  tid: fc.tuple(fc.nat(0xffffffff), fc.nat(0xffff)).map(([b, o]) => `(${b},${o})`),
  _int4: arrayOfArbitrary(23, fc.integer()),
  _text: arrayOfArbitrary(25, text),
  _numeric: arrayOfArbitrary(1700, numeric),
  _timestamptz: arrayOfArbitrary(1184, micros),
}

const cases: [string, Type, fc.Arbitrary<Value>][] = Object.entries(arbitraries).map(([name, arbitrary]) => {
  return [name, builtinType(builtinTypeNamed(name)!), arbitrary]
})
const label = fc.constantFrom('sad', 'so-so', 'ok', 'happy')
cases.push(['enum', mood, label])
cases.push(['enum[]', arrayTypeOf({ oid: 20001, name: '_mood' }, mood), arrayOfArbitrary(20000, label)])
cases.push([
  'composite',
  pair,
  fc.tuple(fc.option(fc.integer(), { nil: null }), fc.option(text, { nil: null })).map((values) => pair.row(values)),
])

function encoded(write: (out: ByteWriter) => void): Uint8Array {
  const out = new ByteWriter(16)
  write(out)
  return out.copy()
}

/** Equal as the type sees it, and shown alike: 1.0 and 1.00 compare equal but are not the same. */
function assertSame(type: Type, got: Value, wanted: Value, what: string): void {
  assert.equal(type.format(got, context), type.format(wanted, context), what)
  if (type.ordered) assert.equal(type.compare(got, wanted), 0, what)
}

for (const [name, type, arbitrary] of cases) {
  test(`${name}: text and binary forms come back`, () => {
    fc.assert(
      fc.property(arbitrary, (value) => {
        const shown = type.format(value, context)
        assertSame(type, type.parse(shown, -1, context), value, 'parse(format(v))')
        const written = encoded((out) => type.writeText(value, out, context))
        assert.equal(Buffer.from(written).toString(), shown, 'writeText writes what format says')
        const stored = encoded((out) => {
          out.u8(1)
          type.encode(value, out)
          out.u8(2)
        })
        assertSame(type, type.decode(stored, 1, stored.length - 1), value, 'decode(encode(v))')
      }),
      runs,
    )
  })

  test(`${name}: keys sort as values do, and end where they say`, () => {
    fc.assert(
      fc.property(arbitrary, arbitrary, (a, b) => {
        const x = encoded((out) => type.encodeKey(a, out))
        const y = encoded((out) => type.encodeKey(b, out))
        const order = Math.sign(type.compare(a, b))
        assert.equal(Math.sign(Buffer.compare(x, y)), order + 0, 'byte order is compare order')
        assert.equal(
          type.key(a) === type.key(b) || Object.is(type.key(a), type.key(b)),
          order === 0,
          'equal keys for equal values',
        )
        const both = Buffer.concat([x, y])
        assert.equal(type.skipKey(both, 0), x.length)
        assert.equal(type.skipKey(both, x.length), both.length)
      }),
      runs,
    )
  })
}

test('timestamptz comes back in every zone', () => {
  for (const zone of ['UTC', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', '<+03>-03', 'Europe/London']) {
    const local = contextIn(zone)
    const type = builtinType(1184)
    fc.assert(
      // Within a day of the ends, local times are outside what input takes, here as in PostgreSQL.
      fc.property(
        micros.filter(
          (value) =>
            (value > -211813400000000000n && value < 9223371231199999999n) ||
            value === Number.POSITIVE_INFINITY ||
            value === Number.NEGATIVE_INFINITY,
        ),
        (value) => {
          const shown = type.format(value, local)
          assert.equal(type.parse(shown, -1, local), value, `${shown} in ${zone}`)
        },
      ),
      runs,
    )
  }
})

test('every built-in type is there and refuses politely what it cannot hold', () => {
  for (const type of builtinTypes.values()) {
    assert.equal(typeof type.name, 'string')
    try {
      type.parse('?', -1, context)
    } catch (error) {
      assert.match(
        (error as { sqlstate?: string }).sqlstate ?? '',
        /^[0-9A-Z]{5}$/,
        `${type.name}: ${(error as Error).message}`,
      )
    }
  }
})
