/**
 * Commands that are not queries, by the name of their parse node: which module runs each, how it stands to
 * transactions, and what columns it returns.
 */
import { DbError } from '../../base/index.ts'
import { copyPortal } from '../copy/copy-portal.ts'
import { ddlCommands } from '../ddl/commands.ts'
import type { Node } from '../parse/parser.ts'
import type { Field, Portal } from '../session-api.ts'
import { textOid } from '../types/oids.ts'
import { builtinType } from '../types/registry.ts'
import { cursorCommands, fetchPortal } from './cursor-commands.ts'
import { explainCommand, explainFields } from './explain.ts'
import { maintenanceCommands } from './maintenance-commands.ts'
import { notifyCommands } from './notify-commands.ts'
import { executePortal, prepareCommands } from './prepare-commands.ts'
import type { Session } from './session.ts'
import { setCommands } from './set-commands.ts'
import { transactionCommands } from './transaction-commands.ts'
import { type Command, type Transactional, UtilityPortal } from './utility-portal.ts'

export interface CommandEntry {
  readonly transactional: Transactional
  /** Whether it changes data or objects: refused in a read-only transaction. */
  readonly writes: boolean
  run(session: Session, node: any, text: string): Command
  fields?(session: Session, node: any): readonly Field[] | undefined
}

export type CommandTable = Readonly<Record<string, CommandEntry>>

const commands: CommandTable = {
  ...transactionCommands,
  ...setCommands,
  ...prepareCommands,
  ...cursorCommands,
  ...notifyCommands,
  ...maintenanceCommands,
  ...ddlCommands,
  ExplainStmt: { transactional: 'inside', writes: false, run: explainCommand, fields: explainFields },
}

export function utilityPortal(session: Session, node: Node, text: string, last: boolean, whole: string): Portal {
  const kind = Object.keys(node)[0]
  const inner = (node as any)[kind]
  if (kind === 'ExecuteStmt') return executePortal(session, inner, last)
  if (kind === 'FetchStmt') return fetchPortal(session, inner, last)
  if (kind === 'CopyStmt') return copyPortal(session, inner, whole, last)
  const entry = commands[kind]
  if (entry === undefined) throw new DbError('feature_not_supported', `${describe(kind)} is not supported`)
  return new UtilityPortal(session, node, text, last, entry.transactional, entry.fields?.(session, inner), () => {
    if (entry.writes && session.transaction().readOnly) {
      throw new DbError('read_only_sql_transaction', `cannot execute ${describe(kind)} in a read-only transaction`)
    }
    return entry.run(session, inner, whole)
  })
}

export function utilityFields(session: Session, node: Node): readonly Field[] | undefined {
  const kind = Object.keys(node)[0]
  const inner = (node as any)[kind]
  if (kind === 'ExecuteStmt') return session.statements.get(inner.name)?.fields
  if (kind === 'FetchStmt') return session.portals.get(inner.portalname)?.fields
  return commands[kind]?.fields?.(session, inner)
}

/** CreateTableAsStmt → CREATE TABLE AS. */
/** Nodes that are not called like the statements that they stand for. */
const statements: Readonly<Record<string, string>> = {
  CreateStmt: 'CREATE TABLE',
  CreateSeqStmt: 'CREATE SEQUENCE',
  IndexStmt: 'CREATE INDEX',
  ViewStmt: 'CREATE VIEW',
  RuleStmt: 'CREATE RULE',
  CreatedbStmt: 'CREATE DATABASE',
  DropdbStmt: 'DROP DATABASE',
  CreateEnumStmt: 'CREATE TYPE',
  CreateRangeStmt: 'CREATE TYPE',
  CompositeTypeStmt: 'CREATE TYPE',
  AlterEnumStmt: 'ALTER TYPE',
  AlterSeqStmt: 'ALTER SEQUENCE',
  CreateTrigStmt: 'CREATE TRIGGER',
  CreateEventTrigStmt: 'CREATE EVENT TRIGGER',
  CreatePLangStmt: 'CREATE LANGUAGE',
  CreateFdwStmt: 'CREATE FOREIGN DATA WRAPPER',
  CreateForeignServerStmt: 'CREATE SERVER',
  CreateOpClassStmt: 'CREATE OPERATOR CLASS',
  CreateAmStmt: 'CREATE ACCESS METHOD',
  CreateStatsStmt: 'CREATE STATISTICS',
  DefineStmt: 'CREATE AGGREGATE, OPERATOR, TYPE, COLLATION or TEXT SEARCH',
  TruncateStmt: 'TRUNCATE TABLE',
  RefreshMatViewStmt: 'REFRESH MATERIALIZED VIEW',
  SecLabelStmt: 'SECURITY LABEL',
  CheckPointStmt: 'CHECKPOINT',
  AlterObjectSchemaStmt: 'ALTER … SET SCHEMA',
  RenameStmt: 'ALTER … RENAME',
  AlterOwnerStmt: 'ALTER … OWNER',
  DropStmt: 'DROP',
}

/** The statement that a parse node stands for. */
export function describe(kind: string): string {
  if (statements[kind] !== undefined) return statements[kind]
  return kind
    .replace(/Stmt$/, '')
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .toUpperCase()
}

export function textField(name: string, slot = 0): Field {
  return { name, slot, type: builtinType(textOid), typmod: -1, tableOid: 0, columnNumber: 0 }
}
