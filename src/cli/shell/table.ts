/**
 * Prints result rows for people, and for programs.
 *
 *    id │ name      ─[ 1 ]──────      id,name      {"id":"1","name":"Ada"}
 *   ────┼──────     id   │ 1          1,Ada
 *     1 │ Ada       name │ Ada
 *
 * Not here: values; they come as PostgreSQL's text.
 */
import { padEnd, padStart, textWidth } from './text-width.ts'

export type TableFormat = 'table' | 'expanded' | 'auto' | 'csv' | 'json'

export interface TableColumn {
  readonly name: string
  readonly dataTypeID: number
}

export interface TableStyle {
  readonly format: TableFormat
  /** Columns of the terminal, for 'auto'. */
  readonly terminalWidth: number
  /** Paints NULL and frames dim. */
  readonly color: boolean
}

export type TextRow = readonly (string | null)[]

/** int8, int2, int4, oid, float4, float8, money, numeric: aligned to the right. */
const rightAligned = new Set([20, 21, 23, 26, 700, 701, 790, 1700])

function dim(text: string, style: TableStyle): string {
  return style.color ? `\x1b[2m${text}\x1b[22m` : text
}

/** Control characters would garble the screen. */
function printable(text: string): string {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f]/g, (c) => '\\x' + c.charCodeAt(0).toString(16).padStart(2, '0'))
}

/** A cell's lines. NULL shows as such only where it can be told from the text NULL. */
function linesOf(cell: string | null): string[] {
  if (cell === null) return ['NULL']
  return printable(cell.replaceAll('\t', '        ')).split('\n')
}

export function formatTable(columns: readonly TableColumn[], rows: readonly TextRow[], style: TableStyle): string {
  switch (style.format) {
    case 'csv':
      return formatCsv(columns, rows)
    case 'json':
      return formatJson(columns, rows)
    case 'expanded':
      return formatExpanded(columns, rows, style)
    case 'table':
      return formatAligned(columns, rows, style)
    case 'auto': {
      const widths = columnWidths(
        columns,
        rows.map((row) => row.map(linesOf)),
      )
      const total = widths.reduce((sum, width) => sum + width + 3, 0)
      const fits = total <= style.terminalWidth || rows.length === 0
      return fits ? formatAligned(columns, rows, style) : formatExpanded(columns, rows, style)
    }
  }
}

function columnWidths(columns: readonly TableColumn[], cells: readonly string[][][]): number[] {
  const widths = columns.map((column) => textWidth(column.name))
  for (const row of cells) {
    row.forEach((lines, i) => {
      for (const line of lines) widths[i] = Math.max(widths[i], textWidth(line))
    })
  }
  return widths
}

function formatAligned(columns: readonly TableColumn[], rows: readonly TextRow[], style: TableStyle): string {
  const cells = rows.map((row) => row.map(linesOf))
  const widths = columnWidths(columns, cells)
  const bar = dim('│', style)
  const out: string[] = []
  out.push(
    columns
      .map((column, i) => ` ${center(column.name, widths[i])} `)
      .join(bar)
      .trimEnd(),
  )
  out.push(dim(widths.map((width) => '─'.repeat(width + 2)).join('┼'), style))
  cells.forEach((row, at) => {
    const height = Math.max(1, ...row.map((lines) => lines.length))
    for (let line = 0; line < height; line++) {
      const shown = row.map((lines, i) => {
        const text = lines[line] ?? ''
        const padded = rightAligned.has(columns[i].dataTypeID) ? padStart(text, widths[i]) : padEnd(text, widths[i])
        const cell = rows[at][i] === null ? dim(padded, style) : padded
        return ` ${cell}${line + 1 < lines.length ? '↵' : ' '}`
      })
      out.push(shown.join(bar).trimEnd())
    }
  })
  out.push(`(${rows.length} ${rows.length === 1 ? 'row' : 'rows'})`)
  return out.join('\n') + '\n'
}

function center(text: string, width: number): string {
  const free = Math.max(0, width - textWidth(text))
  return padEnd(' '.repeat(free >> 1) + text, width)
}

function formatExpanded(columns: readonly TableColumn[], rows: readonly TextRow[], style: TableStyle): string {
  if (rows.length === 0) return '(0 rows)\n'
  const nameWidth = Math.max(...columns.map((column) => textWidth(column.name)))
  const cells = rows.map((row) => row.map(linesOf))
  const valueWidth = Math.max(1, ...cells.flat().flatMap((lines) => lines.map(textWidth)))
  const out: string[] = []
  cells.forEach((row, at) => {
    const title = `─[ ${at + 1} ]`
    const rest = Math.max(0, nameWidth + Math.min(valueWidth, style.terminalWidth - nameWidth - 3) + 3 - title.length)
    out.push(dim(title + '─'.repeat(rest), style))
    row.forEach((lines, i) => {
      lines.forEach((line, n) => {
        const name = padEnd(n === 0 ? columns[i].name : '', nameWidth)
        out.push(`${name} ${dim('│', style)} ${rows[at][i] === null ? dim(line, style) : line}`)
      })
    })
  })
  return out.join('\n') + '\n'
}

function csvCell(cell: string | null): string {
  if (cell === null) return ''
  return cell === '' || /[",\n\r]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell
}

function formatCsv(columns: readonly TableColumn[], rows: readonly TextRow[]): string {
  const lines = [columns.map((column) => csvCell(column.name)).join(',')]
  for (const row of rows) lines.push(row.map(csvCell).join(','))
  return lines.join('\n') + '\n'
}

/** Numbers that JSON can hold exactly, and booleans, are written as such. */
function jsonValue(cell: string | null, column: TableColumn): unknown {
  if (cell === null) return null
  if (column.dataTypeID === 16) return cell === 't'
  if (rightAligned.has(column.dataTypeID) && String(Number(cell)) === cell) return Number(cell)
  if (column.dataTypeID === 114 || column.dataTypeID === 3802) return JSON.parse(cell)
  return cell
}

function formatJson(columns: readonly TableColumn[], rows: readonly TextRow[]): string {
  const objects = rows.map((row) =>
    JSON.stringify(Object.fromEntries(row.map((cell, i) => [columns[i].name, jsonValue(cell, columns[i])]))),
  )
  return objects.map((line) => line + '\n').join('')
}
