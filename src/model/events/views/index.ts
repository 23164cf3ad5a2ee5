export { type ViewDefinition, viewFromDefinition } from './definition.ts'
export { recompute } from './recompute.ts'
export type { Answering, ViewFailureReport } from './running-view.ts'
export { join, type View, type ViewEvent, type ViewStream, view } from './view.ts'
export {
  type AsOf,
  type CorrectionsPage,
  type EntriesOptions,
  openViews,
  type ReadOptions,
  type ViewChange,
  type ViewLimits,
  type ViewStatus,
  type Views,
  type ViewsOptions,
} from './views.ts'
