/** EXPLAIN: the plan as text or JSON; with ANALYZE it is run and counted. */
import { DbError, END, ROW, type Step } from '../../base/index.ts'
import { ParameterTypes } from '../bind/context.ts'
import { Execution, type Operator, suspended } from '../execute/execution.ts'
import type { Field } from '../session-api.ts'
import { jsonOid } from '../types/oids.ts'
import { builtinType } from '../types/registry.ts'
import { instrument, type Measured } from './instrument.ts'
import { lockedPlan, makePlan, type Plan } from './plan.ts'
import type { Session } from './session.ts'
import { bindQueryNode, isQuery } from './statements.ts'
import { textField } from './utility.ts'
import type { Command } from './utility-portal.ts'

interface Options {
  analyze: boolean
  verbose: boolean
  costs: boolean
  timing: boolean
  summary: boolean | undefined
  format: 'text' | 'json'
}

function optionsOf(node: any): Options {
  const out: Options = { analyze: false, verbose: false, costs: true, timing: true, summary: undefined, format: 'text' }
  for (const o of (node.options ?? []) as any[]) {
    const { defname, arg } = o.DefElem
    const text = String(arg?.String?.sval ?? arg?.Boolean?.boolval ?? arg?.Integer?.ival ?? 'true').toLowerCase()
    const on = !['false', 'off', '0'].includes(text)
    switch (defname) {
      case 'analyze':
      case 'verbose':
      case 'costs':
      case 'timing':
      case 'summary':
        out[defname as 'analyze'] = on
        break
      case 'format':
        if (text !== 'text' && text !== 'json')
          throw new DbError('feature_not_supported', `EXPLAIN format ${text} is not supported`, {
            hint: 'Use TEXT or JSON.',
          })
        out.format = text
        break
      case 'buffers':
      case 'wal':
      case 'settings':
      case 'generic_plan':
      case 'memory':
      case 'serialize':
        break
      default:
        throw new DbError('syntax_error', `unrecognized EXPLAIN option "${defname}"`)
    }
  }
  return out
}

export function explainFields(_session: Session, node: any): readonly Field[] {
  const field = textField('QUERY PLAN')
  return [optionsOf(node).format === 'json' ? { ...field, type: builtinType(jsonOid) } : field]
}

export function* explainCommand(session: Session, node: any, text: string): Command {
  const options = optionsOf(node)
  const kind = Object.keys(node.query)[0]
  if (!isQuery(kind)) throw new DbError('feature_not_supported', `EXPLAIN of this statement is not supported`)
  let started = 0
  const make = () => {
    started = session.clock.monotonicMicros()
    const context = session.bindContext(text, new ParameterTypes([], true))
    return makePlan(context, bindQueryNode(context, node.query), session.tables, session.tableRows, true)
  }
  const plan = options.analyze ? yield* lockedPlan(session, make) : make()
  const planned = session.clock.monotonicMicros()
  const measured = options.analyze ? instrument(plan.operator, session.clock) : undefined
  if (measured !== undefined) yield* runPlan(session, plan, measured.root)
  const done = session.clock.monotonicMicros()
  const tree = describeTree(plan.operator, measured)
  const planning = (planned - started) / 1000
  const execution = (done - planned) / 1000
  if (options.format === 'json') return { tag: 'EXPLAIN', rows: [[toJson(tree, options, planning, execution)]] }
  const lines = toText(tree, options, 0)
  for (const sub of plan.builder.subplans) {
    lines.push(`  ${sub.name}`)
    lines.push(...toText(describeTree(sub.plan, measured), options, 2))
  }
  if (options.summary ?? options.analyze) {
    lines.push(`Planning Time: ${planning.toFixed(3)} ms`)
    if (options.analyze) lines.push(`Execution Time: ${execution.toFixed(3)} ms`)
  }
  return { tag: 'EXPLAIN', rows: lines.map((l) => [l]) }
}

function* runPlan(session: Session, plan: Plan, root: Operator): Generator<Step, void, void> {
  const x = new Execution(plan.registers, [], session.transaction(), session)
  plan.builder.running = x
  root.open(x)
  for (;;) {
    x.startSlice()
    let step: Step
    try {
      step = root.next(x)
    } catch (error) {
      if (error !== suspended) throw error
      step = x.suspendedStep
    }
    if (step === END) break
    if (step === ROW) continue
    session.blocker = x.blocker
    yield step
  }
  root.close(x)
  for (const check of x.afterStatement) yield* check(x)
}

interface Described {
  readonly name: string
  readonly target: string | undefined
  readonly details: readonly (readonly [string, string])[]
  readonly operator: Operator
  readonly measured: { rows: number; loops: number; micros: number } | undefined
  readonly inputs: readonly Described[]
}

/** Operators that only move values between registers are not shown. */
const hidden = new Set(['Project', 'Subquery Scan'])

function describeTree(operator: Operator, measured: Measured | undefined): Described {
  const d = operator.describe()
  const inputs = operator.inputs().map((i) => describeTree(i, measured))
  if (hidden.has(d.name) && inputs.length === 1) return inputs[0]
  return {
    name: d.name,
    target: d.target,
    details: d.details ?? [],
    operator,
    measured: measured?.of(operator),
    inputs,
  }
}

function toText(d: Described, options: Options, depth: number): string[] {
  const indent = depth === 0 ? '' : `${' '.repeat(depth * 3 - (depth > 0 ? 1 : 0))}->  `
  const o = d.operator
  const costs = options.costs
    ? `  (cost=${o.startupCost.toFixed(2)}..${o.totalCost.toFixed(2)} rows=${Math.max(1, Math.round(o.rows))} width=${o.width})`
    : ''
  const actual =
    d.measured === undefined
      ? ''
      : d.measured.loops === 0
        ? ' (never executed)'
        : ` (actual ${options.timing ? `time=${(d.measured.micros / 1000 / d.measured.loops).toFixed(3)} ` : ''}rows=${Math.round(d.measured.rows / d.measured.loops)} loops=${d.measured.loops})`
  const lines = [`${indent}${d.name}${d.target === undefined ? '' : ` ${d.target}`}${costs}${actual}`]
  const pad = ' '.repeat(depth === 0 ? 2 : depth * 3 + 5)
  for (const [label, text] of d.details) lines.push(`${pad}${label}: ${text}`)
  for (const i of d.inputs) lines.push(...toText(i, options, depth + 1))
  return lines
}

function toJson(d: Described, options: Options, planning: number, execution: number): string {
  const node = (n: Described): any => ({
    'Node Type': n.name,
    ...(n.target === undefined ? {} : { Relation: n.target }),
    ...(options.costs
      ? {
          'Startup Cost': n.operator.startupCost,
          'Total Cost': n.operator.totalCost,
          'Plan Rows': Math.round(n.operator.rows),
          'Plan Width': n.operator.width,
        }
      : {}),
    ...(n.measured === undefined
      ? {}
      : {
          'Actual Total Time': n.measured.micros / 1000,
          'Actual Rows': n.measured.rows,
          'Actual Loops': n.measured.loops,
        }),
    ...Object.fromEntries(n.details),
    ...(n.inputs.length === 0 ? {} : { Plans: n.inputs.map(node) }),
  })
  const out: any = { Plan: node(d) }
  if (options.summary ?? options.analyze) {
    out['Planning Time'] = planning
    if (options.analyze) out['Execution Time'] = execution
  }
  return JSON.stringify([out], undefined, 2)
}
