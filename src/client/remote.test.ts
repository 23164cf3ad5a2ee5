/** The remote client against PostgreSQL when PGURL names one. */
import { test } from 'node:test'
import { clientConformance } from './client.conformance.ts'
import { openRemote } from './open-remote.ts'

const url = process.env.PGURL
if (url === undefined) test('PostgreSQL itself', { skip: 'PGURL names no server' }, () => {})
else clientConformance('PostgreSQL', () => openRemote(url, {}))
