/**
 * A SQL type: how its values are written, read, compared and stored.
 *
 * Values in memory, by type; SQL's NULL is `null` everywhere and never reaches the methods below:
 *
 *   bool                          boolean
 *   int2 int4 oid reg* xid cid    number (integer)
 *   int8                          number when it is a safe integer, else bigint (canonical: never a bigint that fits)
 *   float4 float8                 number
 *   numeric                       Numeric (numeric.ts), exact, with its scale
 *   text varchar bpchar name "char" unknown json cstring   string
 *   bytea                         Uint8Array
 *   date                          number: days since 2000-01-01, ±Infinity
 *   time                          number: microseconds since midnight
 *   timestamp timestamptz         number, or bigint outside ±2^53: microseconds since 2000-01-01 (UTC), ±Infinity
 *   timetz                        TimeTz { micros, zone (seconds west of UTC, as PostgreSQL) }
 *   interval                      Interval { months, days, micros }
 *   uuid                          string, 36 characters, lower case
 *   jsonb                         Jsonb (jsonb.ts)
 *   enums                         string: the label
 *   arrays                        SqlArray { elementOid, dimensions, lowerBounds, items (flat) }
 *   composite, record             SqlRecord { types, values }
 *   void                          ''
 */
import type { ByteWriter } from '../../encoding/index.ts'

export type Value = any

/** Session settings that input and output of types depend on. */
export interface TypeContext {
  /** As SET TimeZone: an IANA name or an offset such as '+02:00'. */
  timeZone: string
  /** ISO is always the style; this is the field order: 'MDY' | 'DMY' | 'YMD'. */
  dateOrder: 'MDY' | 'DMY' | 'YMD'
  intervalStyle: 'postgres' | 'postgres_verbose' | 'sql_standard' | 'iso_8601'
  extraFloatDigits: number
  byteaOutput: 'hex' | 'escape'
  /** Transaction start, microseconds since 2000-01-01 UTC: now(), 'today', … */
  transactionMicros: number
  /** Statement start, likewise. */
  statementMicros: number
  /** The clock at the call, likewise: clock_timestamp(). */
  clockMicros(): number
  /** Uniform in [0, 1): random(). */
  random(): number
  /** Cryptographically fit bytes in the real node: gen_random_uuid(). */
  randomBytes(length: number): Uint8Array
  /** Names of catalog objects for regclass and the like; see names.ts. */
  names: CatalogNames
  /** Type lookup for arrays, records, enums and casts at run time. */
  types: TypeLookup
}

/** What the reg* types ask of the catalog. `lookup` raises undefined_table and the like; `display` quotes and qualifies. */
export interface CatalogNames {
  lookup(kind: RegKind, text: string): number
  display(kind: RegKind, oid: number): string
}
export type RegKind =
  | 'regclass'
  | 'regtype'
  | 'regproc'
  | 'regprocedure'
  | 'regnamespace'
  | 'regrole'
  | 'regoper'
  | 'regoperator'
  | 'regcollation'
  | 'regconfig'
  | 'regdictionary'

export interface TypeLookup {
  /** Raises undefined_object for an unknown oid. */
  type(oid: number): Type
}

/**
 * How a row tuple stores a column: a fixed slot, or bytes in the variable part (written by `encode`).
 *
 *   bool i16 i32 f32 f64   the value as it is
 *   i64                    a safe number or a bigint
 *   u32                    an unsigned number (oid, xid): the bits of an i32, read with >>> 0
 *   date                   4 bytes of days; ±Infinity are 7fffffff and 80000000 hexadecimal
 *   timestamp              8 bytes of microseconds, number or bigint; ±Infinity are the ends of the 64-bit range
 */
export type StorageKind = 'bool' | 'i16' | 'i32' | 'i64' | 'u32' | 'f32' | 'f64' | 'date' | 'timestamp' | 'bytes'

export interface Type {
  readonly oid: number
  /** pg_type.typname. */
  readonly name: string
  /** pg_type.typlen, typtype, typcategory, typispreferred, typdelim, typelem, typarray, typrelid, typbasetype. */
  readonly length: number
  readonly kind: 'b' | 'c' | 'd' | 'e' | 'p' | 'r' | 'm'
  readonly category: string
  readonly preferred: boolean
  readonly delimiter: string
  readonly element: number
  readonly array: number
  readonly relation: number
  readonly base: number
  readonly storage: StorageKind

  /** The input function: text form to value. Raises invalid_text_representation and the like. `typmod` -1 when none. */
  parse(text: string, typmod: number, context: TypeContext): Value
  /** The output function. */
  format(value: Value, context: TypeContext): string
  /** Appends the text form; the same bytes as `format` in UTF-8, without a string where that is quicker. */
  writeText(value: Value, out: ByteWriter, context: TypeContext): void
  /** The binary send format, also what a row tuple stores for kind 'bytes'. No length prefix. */
  encode(value: Value, out: ByteWriter): void
  /** The binary receive format. Raises invalid_binary_representation. */
  decode(bytes: Uint8Array, start: number, end: number): Value
  /** Applies a type modifier to a value that has none: varchar(n), numeric(p,s), timestamp(p); `explicit` casts truncate. */
  coerce(value: Value, typmod: number, explicit: boolean): Value

  /** Whether the type has a default btree order (json has not). */
  readonly ordered: boolean
  /** Whether values can be compared for equality (hash or btree). */
  readonly hashable: boolean
  /** The default btree order. Total: NaN is greatest, -0 equals 0. Text compares by code point (collation "C"). */
  compare(a: Value, b: Value): number
  /** A string or number (or boolean, bigint) that two values share exactly when they are equal. For hashing in a Map. */
  key(value: Value): string | number | boolean | bigint
  /** Appends an order-preserving encoding that is self-delimiting: byte order is `compare` order. */
  encodeKey(value: Value, out: ByteWriter): void
  /** The end position after the key encoding that starts at `start`. */
  skipKey(bytes: Uint8Array, start: number): number
}

/** The settings in which values are written as text and read again. */
export function plainContext(types: TypeContext): TypeContext {
  return {
    ...types,
    timeZone: 'UTC',
    dateOrder: 'YMD',
    intervalStyle: 'postgres',
    extraFloatDigits: 3,
    byteaOutput: 'hex',
  }
}
