/**
 * json_agg, jsonb_agg, json_object_agg, jsonb_object_agg.
 *
 * Not here: how values become JSON (json-output.ts).
 */
import { DbError } from '../../base/index.ts'
import { type Jsonb, jsonNull, objectOf, quoteJson } from '../types/jsonb.ts'
import type { Value } from '../types/type.ts'
import type { AggregateCode } from './function.ts'
import { type JsonForm, jsonForm, keyText } from './json-output.ts'

interface TextList {
  readonly form: JsonForm
  text: string
}

const jsonAgg: AggregateCode<TextList> = {
  strict: false,
  init: (site, context) => ({ form: jsonForm(site.argTypes[0], context), text: '' }),
  step(state, value) {
    const shown = value === null ? 'null' : state.form.text(value)
    if (state.text === '') state.text = `[${shown}`
    else state.text += `, ${value !== null && state.form.structured ? '\n ' : ''}${shown}`
    return state
  },
  finish: (state) => (state.text === '' ? null : `${state.text}]`),
}

interface TreeList {
  readonly form: JsonForm
  readonly items: Jsonb[]
}

const jsonbAgg: AggregateCode<TreeList> = {
  strict: false,
  init: (site, context) => ({ form: jsonForm(site.argTypes[0], context), items: [] }),
  step(state, value) {
    state.items.push(value === null ? jsonNull : state.form.tree(value))
    return state
  },
  finish: (state) => (state.items.length === 0 ? null : state.items.slice()),
}

interface Pairs {
  readonly keyForm: JsonForm
  readonly form: JsonForm
  readonly keys: string[]
  readonly values: any[]
}

function pairs(show: (form: JsonForm, value: Value) => unknown, finish: (state: Pairs) => Value): AggregateCode<Pairs> {
  return {
    strict: false,
    init: (site, context) => ({
      keyForm: jsonForm(site.argTypes[0], context),
      form: jsonForm(site.argTypes[1], context),
      keys: [],
      values: [],
    }),
    step(state, key, value) {
      if (key === null) throw new DbError('invalid_parameter_value', 'field name must not be null')
      state.keys.push(keyText(key, state.keyForm))
      state.values.push(show(state.form, value))
      return state
    },
    finish: (state) => (state.keys.length === 0 ? null : finish(state)),
  }
}

export const jsonAggregateCode: Record<string, AggregateCode> = {
  json_agg: jsonAgg,
  jsonb_agg: jsonbAgg,
  json_object_agg: pairs(
    (form, value) => (value === null ? 'null' : form.text(value)),
    (state) => `{ ${state.keys.map((key, i) => `${quoteJson(key)} : ${state.values[i]}`).join(', ')} }`,
  ),
  jsonb_object_agg: pairs(
    (form, value) => (value === null ? jsonNull : form.tree(value)),
    (state) => objectOf(state.keys, state.values),
  ),
}
