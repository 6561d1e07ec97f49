import type { IdType } from './ids.ts'

/** The names of types in the catalogue, and what each setting takes them for. */
export const INTEGERS = { int2: 'smallint', int4: 'integer', int8: 'bigint' } as const
const TEXTS = { text: 'text', varchar: 'text', bpchar: 'bpchar', citext: 'citext' } as const
export const ID_TYPES: Record<string, IdType> = { ...TEXTS, uuid: 'uuid', ...INTEGERS }
export const STATUS_TYPES: Record<string, string> = { ...TEXTS, 'an enum': 'enum', ...INTEGERS, bool: 'boolean' }
export const TIME_TYPES = { timestamptz: 'timestamptz', timestamp: 'timestamp' } as const
/** Of what is handed on to a payment provider as text. */
export const PAYMENT_TYPES: Record<string, string> = { ...ID_TYPES }
export const METHOD_TYPES = STATUS_TYPES
export const AMOUNT_TYPES: Record<string, string> = {
  ...TEXTS,
  ...INTEGERS,
  ...{ numeric: 'numeric', float4: 'real', float8: 'double precision', money: 'money' },
}
export const NUMBERS = { int4: 'number', int8: 'number' } as const
/** What people call the types, where it is not their name in the catalogue. */
export const NAMES: Record<string, string> = {
  ...INTEGERS,
  ...{ bpchar: 'char(n)', bool: 'boolean', float4: 'real', float8: 'double precision' },
}
