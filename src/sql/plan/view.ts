/** The query behind a view: a user's, or a built-in one of information_schema. */
import { systemRelation } from '../catalog/system-schema.ts'
import type { Query } from '../query.ts'
import type { PlanScope } from './scope.ts'

export function viewQuery(scope: PlanScope, relation: number): Query | undefined {
  const system = systemRelation(relation)
  if (system !== undefined) return system.descriptor.view
  const descriptor = scope.builder.context.names.catalog.relation(relation)
  return descriptor?.relkind === 'v' ? descriptor.view : undefined
}
