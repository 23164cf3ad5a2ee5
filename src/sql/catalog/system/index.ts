/** The system catalogs: one call makes them known; nothing is built before somebody reads one. */
import { whenFirstNeeded } from '../system-schema.ts'
import { defineActivity } from './activity.ts'
import { defineCluster } from './cluster.ts'
import { defineConstraints } from './constraints.ts'
import { defineDependencies } from './dependencies.ts'
import { defineInformationObjects } from './information-objects.ts'
import { defineInformationSchema } from './information-schema.ts'
import { registerDefined } from './relation.ts'
import { defineRelations } from './relations.ts'
import { defineTypes } from './types.ts'
import { defineViews } from './views.ts'

let known = false

export function registerSystemCatalogs(): void {
  if (known) return
  known = true
  whenFirstNeeded(() => {
    defineRelations()
    defineConstraints()
    defineTypes()
    defineCluster()
    defineViews()
    defineDependencies()
    defineActivity()
    defineInformationSchema()
    defineInformationObjects()
    registerDefined()
  })
}
