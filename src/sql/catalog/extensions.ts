/**
 * Extensions as far as they are here: what schemas written for PostgreSQL create before they begin, and the functions of
 * theirs that can be said in SQL.
 *
 * Not here: the commands (ddl/schemas.ts).
 */

/** Extensions whose functions are built in, or that change nothing we have. */
export const extensions: Record<string, string> = {
  plpgsql: '1.0',
  'uuid-ossp': '1.1',
  pgcrypto: '1.3',
  citext: '1.6',
  hstore: '1.8',
  pg_trgm: '1.6',
  btree_gist: '1.7',
  btree_gin: '1.3',
}
/** Those that CREATE EXTENSION has. */
export const available = new Set(['plpgsql', 'pgcrypto', 'uuid-ossp'])

export function availableExtensions(): (readonly [name: string, version: string])[] {
  return [...available].map((name) => [name, extensions[name]])
}

/** Functions without arguments that come with an extension, as bodies in SQL; the rest of uuid-ossp's are not there. */
export const extensionFunctions: Record<string, readonly (readonly [name: string, body: string])[]> = {
  'uuid-ossp': [
    ['uuid_generate_v4', 'SELECT gen_random_uuid()'],
    ['uuid_nil', "SELECT '00000000-0000-0000-0000-000000000000'::uuid"],
    ['uuid_ns_dns', "SELECT '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid"],
    ['uuid_ns_url', "SELECT '6ba7b811-9dad-11d1-80b4-00c04fd430c8'::uuid"],
    ['uuid_ns_oid', "SELECT '6ba7b812-9dad-11d1-80b4-00c04fd430c8'::uuid"],
    ['uuid_ns_x500', "SELECT '6ba7b814-9dad-11d1-80b4-00c04fd430c8'::uuid"],
  ],
}
