import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { fastify } from 'fastify'
import type { OpenAPIV3_1 } from 'openapi-types'
import { registerApi } from '../../../src/http/api/api.ts'
import { registerOpenApi } from '../../../src/http/api/openapi.ts'
import { frontOf } from '../../../src/http/front.ts'

const page = readFileSync('docs/http-api.md', 'utf8')
const METHODS = ['get', 'put', 'post', 'patch', 'delete'] as const
/** Those that the page tells once for all. */
const ALWAYS = ['400', '401', '403', '408', '413', '415', '429', '500', '503']

async function describe(
  options: { publicUrl?: string; environment?: string; hasTokens?: boolean } = {},
): Promise<OpenAPIV3_1.Document> {
  const { publicUrl, environment, hasTokens = true } = options
  const server = fastify()
  const parts = { TRUSTED_PROXY: undefined, TRUSTED_PROXY_USER_HEADER: undefined, TRUSTED_PROXY_OPERATORS: undefined }
  const front = frontOf({ PUBLIC_URL: publicUrl, ...parts })
  await registerOpenApi(server, { version: '1.2.3', front, environment, hasTokens, admit: () => {} })
  // No route is called.
  await registerApi(server, { admit: () => {} } as unknown as Parameters<typeof registerApi>[1])
  const { payload } = await server.inject('/openapi.json')
  await server.close()
  return JSON.parse(payload)
}

type Operation = OpenAPIV3_1.OperationObject & { responses: Record<string, OpenAPIV3_1.ResponseObject> }

function operationsOf(document: OpenAPIV3_1.Document) {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item?.[method] as Operation | undefined
      return operation ? [{ name: `${method.toUpperCase()} ${path}`, operation }] : []
    }),
  )
}

/** The codes of an operation by status. */
function codesOf({ responses }: Operation): Record<string, string[]> {
  const problems = Object.entries(responses).filter(([status]) => Number(status) >= 400)
  return Object.fromEntries(
    problems.map(([status, { content }]) => [
      status,
      Object.keys(content?.['application/problem+json']?.examples ?? {}).sort(),
    ]),
  )
}

test('the page and the description have the same operations, with the same answers of their own', async () => {
  const told = [...page.matchAll(/^\| `([A-Z]+ \/v1\S*)` \|.*\| (.*) \|$/gm)].map(([, name = '', answers = '']) => ({
    name,
    statuses: [...(answers.match(/\b[2-5]\d\d\b/g) ?? [])],
    codes: [...(answers.match(/\b[A-Z]+_[A-Z_]+\b/g) ?? [])],
  }))
  const described = operationsOf(await describe()).map(({ name, operation }) => {
    const own = Object.keys(operation.responses).filter((status) => !ALWAYS.includes(status))
    const codes = Object.entries(codesOf(operation)).flatMap(([status, of]) => (ALWAYS.includes(status) ? [] : of))
    return { name, statuses: own, codes }
  })
  const sorted = (all: typeof told) =>
    all
      .map(({ name, statuses, codes }) => ({ name, statuses: [...statuses].sort(), codes: [...codes].sort() }))
      .sort((one, other) => one.name.localeCompare(other.name))
  expect(sorted(told)).toEqual(sorted(described))
})

test('the page lists each code that the description knows, with its status and in the same words, and no other', async () => {
  const document = await describe()
  const rows = [...page.matchAll(/^\| (\d{3}) \| `([A-Z_]+)` \| (.*) \|$/gm)].map(([, status, code, when]) => ({
    status,
    code,
    when,
  }))
  const schema = document.components?.schemas?.ErrorCode as { enum: string[] }
  expect(rows.map(({ code }) => code).sort()).toEqual([...schema.enum].sort())
  const described = operationsOf(document).flatMap(({ operation }) =>
    Object.entries(operation.responses).flatMap(([status, { description }]) =>
      [...description.matchAll(/^`([A-Z_]+)`: (.*)$/gm)].map(([, code, when]) =>
        JSON.stringify({ status, code, when }),
      ),
    ),
  )
  // Answers of no operation: the document tells of them as a whole.
  const general = ['NOT_FOUND', 'METHOD_NOT_ALLOWED']
  const ofOperations = rows.filter(({ code = '' }) => !general.includes(code)).map((row) => JSON.stringify(row))
  expect(ofOperations.sort()).toEqual([...new Set(described)].sort())
  for (const code of general) expect(document.info.description).toContain(code)
})

test('every operation has a name, words, answers that are named schemas, and errors with an example for each code', async () => {
  const operations = operationsOf(await describe())
  const names = operations.map(({ operation }) => operation.operationId)
  expect(names).toEqual([...new Set(names)])
  for (const { name, operation } of operations) {
    expect([name, operation]).toEqual([
      name,
      expect.objectContaining({
        operationId: expect.stringMatching(/^[a-z]\w+$/),
        summary: expect.stringMatching(/\w/),
      }),
    ])
    for (const [status, { content = {}, description }] of Object.entries(operation.responses)) {
      const [[type, media] = []] = Object.entries(content)
      expect([name, status, description.length > 0, media?.schema]).toEqual([
        name,
        status,
        true,
        { $ref: expect.stringMatching(/^#\/components\/schemas\/[A-Z]\w+$/) },
      ])
      expect(type).toBe(Number(status) < 400 ? 'application/json' : 'application/problem+json')
    }
    for (const codes of Object.values(codesOf(operation))) expect(codes).not.toEqual([])
  }
})

test('no schema is described twice, and none within another', async () => {
  const { schemas = {} } = (await describe()).components ?? {}
  const anonymous: string[] = []
  const look = (value: unknown, where: string) => {
    if (typeof value !== 'object' || value === null) return
    if ('properties' in value && where.includes('/')) anonymous.push(where)
    for (const [key, part] of Object.entries(value)) if (key !== 'examples') look(part, `${where}/${key}`)
  }
  for (const [name, schema] of Object.entries(schemas)) look(schema, name)
  expect(anonymous).toEqual([])
  const texts = Object.values(schemas).map((schema) => JSON.stringify(schema))
  expect(texts).toHaveLength(new Set(texts).size)
})

test('the environment is a part of the title, as a badge on every other page', async () => {
  expect((await describe({ environment: 'staging' })).info.title).toBe('order-expiry (staging)')
  expect((await describe()).info.title).toBe('order-expiry')
})

test('who may ask, and where, is as it is set', async () => {
  const open = await describe({ hasTokens: false })
  expect([open.components?.securitySchemes, open.security, open.servers]).toEqual([undefined, [], [{ url: '/' }]])
  for (const { operation } of operationsOf(open)) expect(operation.security).toBeUndefined()
  const guarded = await describe({ publicUrl: 'https://ops.example.com/expiry' })
  expect(guarded.components?.securitySchemes).toMatchObject({ token: { type: 'http', scheme: 'bearer' } })
  expect(guarded.servers).toEqual([{ url: 'https://ops.example.com/expiry' }])
  const scopes = operationsOf(guarded).map(({ name, operation }) => [name, operation.security?.[0]?.token])
  expect(Object.fromEntries(scopes)).toMatchObject({
    'PUT /v1/orders/{id}': ['schedule'],
    'POST /v1/orders/{id}/paid': ['pay'],
    'GET /v1/forecast': ['read'],
  })
  expect(guarded.info).toMatchObject({ version: '1.2.3', license: { name: 'MIT' } })
})
