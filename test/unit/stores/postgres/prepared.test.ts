import { beforeEach, describe, expect, test } from '@jest/globals'
import { PreparedStatements, prepare } from '../../../../src/stores/postgres/prepared.ts'
import { FakeClock } from '../../../helpers/fake-clock.ts'

interface Sent {
  name?: string
  text: string
  values: unknown[]
}

const statement = prepare('cancel', 'SELECT $1')
const reported = (code: string) => Object.assign(new Error(`refused with ${code}`), { severity: 'ERROR', code })

let clock: FakeClock
let prepared: PreparedStatements
beforeEach(() => {
  clock = new FakeClock()
  prepared = new PreparedStatements({ clock })
})

/** A connection that answers each statement as the next of the answers says: with an error, or after so many milliseconds. */
function connection(...answers: (Error | number)[]) {
  const sent: Sent[] = []
  return {
    sent,
    names: () => sent.map(({ name }) => name),
    async query(query: Sent) {
      sent.push(query)
      const answer = answers.shift() ?? 0
      if (answer instanceof Error) throw answer
      await clock.advance(answer)
      return { rows: [[1]] }
    },
  }
}

test('a name says what the statement is for, and is that of this statement only', () => {
  expect(statement.name).toMatch(/^order_expiry_cancel_[0-9a-f]{16}$/)
  expect(prepare('cancel', 'SELECT $1').name).toBe(statement.name)
  expect(prepare('cancel', 'SELECT $1 ').name).not.toBe(statement.name)
})

test('a statement is sent under its name, for rows that are arrays', async () => {
  const one = connection()
  expect(await prepared.run(one, statement, [7])).toEqual([[1]])
  expect(one.sent).toEqual([{ name: statement.name, text: 'SELECT $1', values: [7], rowMode: 'array' }])
  expect(prepared.isWorn(one)).toBe(false)
})

describe('where a pooler has changed the connection of the server', () => {
  test.each(['26000', '42P05'])(
    '(%s) it is sent again at once without a name, and so are all after it',
    async (state) => {
      const one = connection(reported(state))
      expect(await prepared.run(one, statement, [7])).toEqual([[1]])
      await prepared.run(one, statement, [8])
      expect(one.names()).toEqual([statement.name, undefined, undefined])
      expect(one.sent.map(({ values }) => values)).toEqual([[7], [7], [8]])
      expect(prepared.isWorn(one)).toBe(false)
    },
  )

  test('the statements that are under way at that moment are sent again too', async () => {
    const all = [connection(reported('26000')), connection(reported('42P05')), connection(reported('26000'))]
    const rows = await Promise.all(all.map((one) => prepared.run(one, statement, [])))
    expect(rows).toEqual([[[1]], [[1]], [[1]]])
  })

  test('what then goes wrong without a name is an error', async () => {
    const one = connection(reported('26000'), reported('23514'))
    await expect(prepared.run(one, statement, [])).rejects.toMatchObject({ code: '23514' })
  })
})

test('where the table has been altered it is sent again without a name, and the connection is given up', async () => {
  const one = connection(reported('0A000'))
  expect(await prepared.run(one, statement, [])).toEqual([[1]])
  expect(prepared.isWorn(one)).toBe(true)
  const other = connection()
  await prepared.run(other, statement, [])
  expect(other.names()).toEqual([statement.name])
})

test.each([reported('23514'), reported('57014'), new Error('Connection terminated unexpectedly')])(
  'any other error is passed on, and nothing is sent again: %s',
  async (error) => {
    const one = connection(error)
    await expect(prepared.run(one, statement, [])).rejects.toBe(error)
    expect(one.sent).toHaveLength(1)
    expect(prepared.isWorn(one)).toBe(false)
  },
)

test.each([
  [250, false],
  [251, true],
])('a connection on which it took %i ms is given up: %s', async (ms, isWorn) => {
  const one = connection(ms)
  await prepared.run(one, statement, [])
  expect(prepared.isWorn(one)).toBe(isWorn)
})
