import { readFileSync } from 'node:fs'
import fastify from 'fastify'

type Schema = { type?: string; properties?: Record<string, Schema>; [keyword: string]: unknown }

/** What is wrong with an event by the schema of its type in `docs/events`, which then must know each of its fields; empty: nothing. */
export async function schemaProblems(event: { type: string }, type = event.type): Promise<string> {
  const schema = JSON.parse(readFileSync(`docs/events/${type}.json`, 'utf8')) as Schema
  // Fastify's validator is Ajv. It is to change nothing, and to know every word of the schema.
  const customOptions = {
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    allErrors: true,
    strict: true,
  }
  const server = fastify({ ajv: { customOptions } })
  server.post('/', { schema: { body: closed(schema) } }, async () => '')
  const { statusCode, body } = await server.inject({ method: 'POST', url: '/', payload: event })
  await server.close()
  return statusCode === 200 ? '' : body
}

/** The same, without room for what it does not name. */
function closed({ $schema, ...schema }: Schema): Schema {
  const { properties } = schema
  if (!properties) return schema
  const parts = Object.entries(properties).map(([name, part]) => [name, closed(part)])
  return { ...schema, properties: Object.fromEntries(parts), additionalProperties: false }
}
