export type IdType = keyof typeof TEXTS | 'uuid' | keyof typeof INTEGER_BITS

/** How the database writes an id, and which ids it takes for the same. */
const TEXTS = {
  text: (id: string) => id,
  bpchar: (id: string) => id.replace(/ +$/, ''),
  citext: (id: string) => id.toLowerCase(),
}

/** The same for all texts that the database takes for the same id. */
export function canonicalId(type: IdType, id: string): string {
  if (isText(type)) return TEXTS[type](id)
  return type === 'uuid' ? id.toLowerCase() : id
}

const INTEGER_BITS = { smallint: 16, integer: 32, bigint: 64 }

/** Whether the id column can hold this id at all. Others are missing by definition, and must not fail a whole batch. */
export function canHoldId(type: IdType, id: string): boolean {
  if (isText(type)) return true
  if (type === 'uuid') return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(id)
  // Only the canonical form: `007` is not the order `7`.
  if (!/^(0|-?[1-9]\d{0,18})$/.test(id)) return false
  return BigInt.asIntN(INTEGER_BITS[type], BigInt(id)) === BigInt(id)
}

function isText(type: IdType): type is keyof typeof TEXTS {
  return type in TEXTS
}
