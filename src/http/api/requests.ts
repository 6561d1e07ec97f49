import type { FastifySchemaCompiler } from 'fastify'
import type { z } from 'zod'
import { OrderExpiryError } from '../../errors.ts'

/** What is wrong with a request, in the words of whoever sent it: the fields of its JSON, and what was expected and given. */

type Issue = z.core.$ZodRawIssue

/** For a schema of `zod`: what it expects, for the text of the error. */
export function expected(what: string): { error: (issue: Issue) => string } {
  return { error: ({ input }) => `expected ${what}, given ${shown(input)}` }
}

/** The same for an object that has certain fields and no others. */
export function expectedFields(what: string, fields: readonly string[]): { error: (issue: Issue) => string } {
  return {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `unknown field; expected ${fields.join(', ')}`
        : `expected ${what}, given ${shown(issue.input ?? undefined)}`, // no body is null
  }
}

/** The same for a list of a certain length. */
export function expectedLength(what: string): { error: (issue: Issue) => string } {
  return { error: ({ input }) => `expected ${what}, given ${(input as unknown[]).length}` }
}

export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema }) =>
  (data) => {
    const parsed = schema.safeParse(data)
    return parsed.success ? { value: parsed.data } : { error: invalidRequest({ error: parsed.error }) }
  }

/** @param options.within the JSON pointer (RFC 6901) of the part of the body that was looked at. Default: all of it */
export function invalidRequest({ error, within = '' }: { error: z.ZodError; within?: string }): OrderExpiryError {
  const texts = error.issues.map((issue) => {
    const path = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0] ?? ''] : issue.path
    return `${nameOf({ within, path })}: ${issue.message}`
  })
  return new OrderExpiryError('INVALID_REQUEST', texts.join('; '))
}

/** A field of the body by its name, anything below by its JSON pointer. */
function nameOf({ within = '', path }: { within?: string; path: readonly PropertyKey[] }): string {
  const [first, ...more] = path.map((step) => String(step).slice(0, 64))
  if (within === '' && first === undefined) return 'body'
  if (within === '' && first !== undefined && more.length === 0) return first
  const steps = path.map((step) => `/${String(step).slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`)
  return `${within}${steps.join('')}`
}

function shown(given: unknown): string {
  if (given === undefined) return 'none'
  if (Array.isArray(given)) return 'a list'
  if (typeof given === 'object' && given !== null) return 'an object'
  return JSON.stringify(typeof given === 'string' ? given.slice(0, 64) : given)
}
