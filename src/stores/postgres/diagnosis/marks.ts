import type { ColumnRow } from '../catalogue.ts'
import { wordsOf } from '../column-names.ts'
import { INTEGERS } from '../column-types.ts'
import { quoteIdentifier, quoteLiteral } from '../quoting.ts'

/** A column that marks some orders, as paid or as deleted. */
export interface Mark {
  name: string
  /** Whether it is a time, or none. */
  isTime: boolean
  /** The condition that an order is marked; undefined if that cannot be told. */
  isSet: string | undefined
  /** The condition that an order is not marked; with … where somebody has to choose. */
  isUnset: string
  /** Those from which to choose. */
  values: readonly string[]
  /** How many unpaid orders are marked. */
  orders: number
}

const NOT_YET = /^((un|not|non)[ _-]?pa(id|yed)|pending|awaiting.*|waiting.*|open|new|due|none|initial|outstanding)$/i
const DONE = /^(paid|payed|captured|settled|completed?|success|succeeded|authori[sz]ed|done)$/i
const NUMBERS = [...Object.keys(INTEGERS), 'numeric', 'float4', 'float8']
const TIMES = ['timestamptz', 'timestamp', 'date']
const TEXTS = ['text', 'varchar', 'bpchar', 'citext']

/** @param readValues of a column, as SQL @returns undefined for a type that marks nothing */
export async function markOf(
  row: ColumnRow,
  readValues: (column: string) => Promise<string[]>,
): Promise<Mark | undefined> {
  const { name, type, labels, is_not_null: isNotNull } = row
  const column = quoteIdentifier(name)
  const mark = { name, isTime: false, values: [], orders: 0 }
  if (TIMES.includes(type)) {
    return { ...mark, isTime: true, isSet: `${column} IS NOT NULL`, isUnset: `${column} IS NULL` }
  }
  if (type === 'bool') return { ...mark, isSet: column, isUnset: isNotNull ? `NOT ${column}` : `${column} IS NOT TRUE` }
  if (NUMBERS.includes(type)) {
    const isUnset = isNotNull ? `${column} = 0` : `coalesce(${column}, 0) = 0`
    if (!isStatus(name)) return { ...mark, isSet: `${column} <> 0`, isUnset }
    return { ...mark, isSet: undefined, isUnset, values: await readValues(column) }
  }
  if (!labels && !TEXTS.includes(type)) return undefined
  const values = labels ?? (await readValues(column))
  const [unset, set] = [NOT_YET, DONE].map((word) => values.filter((value) => word.test(value)).map(quoteLiteral))
  return {
    ...mark,
    isSet: set?.length ? `${column} IN (${set.join(', ')})` : undefined,
    isUnset: unset && unset.length > 1 ? `${column} IN (${unset.join(', ')})` : `${column} = ${unset?.[0] ?? "'…'"}`,
    values,
  }
}

/** The numbers of a status mean what the shop says, those of another column most likely no and yes, or never and when. */
function isStatus(name: string): boolean {
  return wordsOf(name).some((word) => ['status', 'state'].includes(word))
}
