/** All DDL commands. */
import type { CommandTable } from './context.ts'
import { alterTableCommands } from './alter-table.ts'
import { dropCommands } from './drop.ts'
import { indexCommands } from './indexes.ts'
import { sequenceCommands } from './sequences.ts'
import { tableCommands } from './tables.ts'

export const ddlCommands: CommandTable = { ...tableCommands, ...indexCommands, ...sequenceCommands, ...dropCommands, ...alterTableCommands }
