import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { namesColumn, parseAssignments, parseExpression } from '../../../../src/stores/postgres/sql-fragment.ts'

describe('parseExpression', () => {
  test.each<[text: string, calls: string[]]>([
    [`"paymentStatus" = 'UNPAID'`, []],
    ['NOT paid', []],
    ['deleted_at IS NULL AND (NOT paid OR total = 0)', ['and']],
    [`coalesce(state, 'it''s; -- )') <> ''`, ['coalesce']],
    [`note = E'\\');--' AND "a"")" IS NULL`, []],
    ['status = ANY (ARRAY[1, 2]) AND x::int[] @> ARRAY[3]', ['any']],
    ['in_range(a, b)', ['in_range']],
    [`"Is Open"(a)`, ['Is Open']],
    ['größe > 0', []],
    [`tags && ARRAY['a', 'b'] AND x[1] = y[2]`, []],
  ])('takes %s as it is', (text, calls) => {
    expect(parseExpression(` ${text}\n`)).toEqual({ sql: text, calls })
  })

  test.each([
    ['', /an expression/],
    ['  ', /an expression/],
    ['a, b', /one expression/],
    ['true)', /opening parenthesis/],
    ['true) OR (true', /opening parenthesis/],
    ['(true', /closing parenthesis/],
    ['a[1) AND (1]', /opening parenthesis/],
    ['a[1', /closing parenthesis/],
    ['true; DROP TABLE orders', /no ";"/],
    ['true -- and so on', /comment/],
    ['true /* and so on', /comment/],
    ['a =-- b', /comment/],
    ['a = $$b$$', /no "\$"/],
    ['a = $1', /no "\$"/],
    [`a = 'b`, /no "'"/],
    ['a = "b', /no "\\""/],
    [`a = E'\\'`, /no "E"/],
    [`a = e'b'\n'\\'`, /no "e"/],
    ['a = (SELECT 1)', /no SELECT/],
    ['EXISTS (select from payments)', /no SELECT/],
    ['a IN (VALUES (1))', /no VALUES/],
    ['EXISTS (TABLE payments)', /no TABLE/],
    ['a = \\b', /no "\\\\"/],
    ['a\0', /./],
  ])('refuses %j', (text, expected) => {
    expect(() => parseExpression(text)).toThrow(expected)
  })

  test('whatever it takes has its parentheses and quotes closed, and neither a comment nor an end of the statement', () => {
    const parts = ['(', ')', "'", '"', ';', '--', '/*', '*/', '$', '$$', 'a', 'E', '\\', ' ', ',', '=', 'select', '\n']
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...parts), { maxLength: 12 }), (some) => {
        let sql: string
        try {
          sql = parseExpression(some.join('')).sql
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError)
          return
        }
        const code = sql.replace(/(?<![a-z$])e'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'|"(?:[^"]|"")+"/gi, ' x ')
        expect(code).not.toMatch(/['";\\]|--|\/\*|(?<![\w$])select(?![\w$])|(?<![\w$])\$/)
        let depth = 0
        for (const letter of code) {
          depth += letter === '(' ? 1 : letter === ')' ? -1 : 0
          expect(depth).toBeGreaterThanOrEqual(0)
        }
        expect(depth).toBe(0)
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('parseAssignments', () => {
  test('gives each column as it is called, and its expression', () => {
    const text = `Version = version + 1, "updatedAt" = now() AT TIME ZONE 'UTC', tags = array_append(tags, 'a,b')`
    expect(parseAssignments(text)).toEqual([
      { column: 'version', sql: 'version + 1', calls: [] },
      { column: 'updatedAt', sql: `now() AT TIME ZONE 'UTC'`, calls: ['now'] },
      { column: 'tags', sql: `array_append(tags, 'a,b')`, calls: ['array_append'] },
    ])
  })

  test.each([
    ['n=-1', 'n', '-1'],
    ['n=+a', 'n', '+a'],
    [`tags = ARRAY['a', 'b']`, 'tags', `ARRAY['a', 'b']`],
    ['Über = 1', 'Über', '1'],
    ['ÜBER = 1', 'Über', '1'],
  ])('%s is read as PostgreSQL reads it', (text, column, sql) => {
    expect(parseAssignments(text)).toEqual([{ column, sql, calls: [] }])
  })

  test.each([
    ['', /column = expression/],
    ['version', /column = expression/],
    ['version =', /column = expression/],
    ['version = 1,', /column = expression/],
    ['version = 1,, a = 2', /column = expression/],
    ['o.version = 1', /column = expression/],
    ['(a, b) = (1, 2)', /column = expression/],
    [`'version' = 1`, /column = expression/],
    ['version += 1', /column = expression/],
    ['version = 1; DROP TABLE orders', /no ";"/],
    ['version = 1 -- ', /comment/],
    ['version = (SELECT max(version) FROM orders)', /no SELECT/],
    ['version = 1) WHERE (true', /opening parenthesis/],
    ['note = $a$x$a$', /no "\$"/],
  ])('refuses %j', (text, expected) => {
    expect(() => parseAssignments(text)).toThrow(expected)
  })
})

describe('namesColumn', () => {
  test.each([
    ['NOT paid', 'paid', true],
    ['o."paidAt" IS NULL', 'paidAt', true],
    ['o.PAID', 'paid', true],
    ['is_paid', 'paid', false],
    ['paid_at IS NULL', 'paid', false],
    [`status = 'paid'`, 'paid', false],
    [`note = 'it''s paid'`, 'paid', false],
    ['true -- unless paid', 'paid', false],
    ['/* paid\n */ true', 'paid', false],
    ['"a.b" = 1', 'a.b', true],
    ['"größe" = 1', 'größ', false],
  ])('%s names %s: %s', (sql, column, isNamed) => {
    expect(namesColumn(sql, column)).toBe(isNamed)
  })
})
