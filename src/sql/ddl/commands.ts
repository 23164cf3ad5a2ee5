/** All DDL commands. */

import { alterTableCommands } from './alter-table.ts'
import type { CommandTable } from './context.ts'
import { dropCommands } from './drop.ts'
import { functionCommands } from './functions.ts'
import { indexCommands } from './indexes.ts'
import { renameCommands } from './rename.ts'
import { roleCommands } from './roles.ts'
import { schemaCommands } from './schemas.ts'
import { sequenceCommands } from './sequences.ts'
import { tableCommands } from './tables.ts'
import { typeCommands } from './types.ts'
import { viewCommands } from './views.ts'

export const ddlCommands: CommandTable = {
  ...tableCommands,
  ...indexCommands,
  ...sequenceCommands,
  ...dropCommands,
  ...alterTableCommands,
  ...viewCommands,
  ...schemaCommands,
  ...typeCommands,
  ...renameCommands,
  ...roleCommands,
  ...functionCommands,
}
