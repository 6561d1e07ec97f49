/** An SQL identifier. https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** The name that {@link quoteIdentifier} has quoted. */
export function unquoteIdentifier(sql: string): string {
  return sql.slice(1, -1).replaceAll('""', '"')
}

/** An SQL literal. https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

/** `orders`, `schema.orders` or `"my.schema"."Orders"` with each part quoted. Undefined if the name is malformed. */
export function quoteTable(name: string): string | undefined {
  return splitTable(name)
    ?.map((text) => (text.startsWith('"') ? text : quoteIdentifier(text)))
    .join('.')
}

/** The parts of a name, as they are written. Undefined if the name is malformed. */
export function splitTable(name: string): string[] | undefined {
  const part = '("(?:[^"]|"")+"|[^".]+)'
  const match = new RegExp(`^(?:${part}\\.)?${part}$`).exec(name)
  return match?.slice(1).filter((text) => text !== undefined)
}

/** A table for people: `public.orders`, `shop."Order"`. */
export function readableName(...parts: string[]): string {
  return parts.map((part) => (/^[a-z_][a-z0-9_$]*$/.test(part) ? part : quoteIdentifier(part))).join('.')
}
