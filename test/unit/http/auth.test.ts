import { afterEach, describe, expect, test } from '@jest/globals'
import { type FastifyRequest, fastify } from 'fastify'
import { type Door, guard } from '../../../src/http/auth.ts'
import { Guesses } from '../../../src/http/guesses.ts'
import { registerProblems } from '../../../src/http/problem.ts'
import { EventBus, type Events } from '../../../src/observe/events.ts'
import type { ApiToken, BoardUser } from '../../../src/settings/credentials.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

const ann: BoardUser = { name: 'ann', password: 'correct horse', role: 'operator' }
const bob: BoardUser = { name: 'bob', password: 'battery:staple', role: 'viewer' }
const zoë: BoardUser = { name: 'zoë', password: 'päßwörd 🛒', role: 'viewer' }
const users = [ann, bob, zoë]
const shop: ApiToken = { name: 'shop', token: 'token-of-the-shop', scopes: ['pay'] }
const past: ApiToken = { name: 'past', token: 'token-of-the-past', expiresAt: 0 }
const tokens = [shop, past]

const basic = (name: string, password: string) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
const bearer = (token: string) => `Bearer ${token}`
const WRONG = basic('ann', 'wrong')

const servers: { close(): Promise<unknown> }[] = []
afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())))

/** A server whose only route is behind this door. */
async function createDoor(door: Partial<Door>) {
  const server = fastify({ trustProxy: true })
  servers.push(server)
  registerProblems(server)
  const clock = new FakeClock()
  const events = new EventBus()
  const told: Events['wrong-credentials'][] = []
  events.on('wrong-credentials', (event) => told.push(event))
  const watch = { guesses: new Guesses({ clock }), events, clock }
  guard(server, { door: { name: 'pages', isOpen: false, settings: 'BOARD_USERS', ...door }, watch })
  server.get('/', async ({ caller, role, scopes }: FastifyRequest) => ({ caller, role, scopes }))
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  const knock = async (authorization?: string, address = '192.0.2.1') => {
    const headers = { 'x-forwarded-for': address, ...(authorization && { authorization }) }
    const answer = await fetch(url, { headers })
    return {
      status: answer.status,
      headers: Object.fromEntries(answer.headers),
      body: (await answer.json()) as Record<string, unknown>,
    }
  }
  const statusOf = async (authorization?: string, address?: string) => (await knock(authorization, address)).status
  /** Wrong passwords, each another one. */
  const guess = async (count: number, addressOf: (n: number) => string = () => '192.0.2.1') => {
    const statuses: Record<number, number> = {}
    for (let n = 0; n < count; n++) {
      const status = await statusOf(basic('ann', `guess-${n}`), addressOf(n))
      statuses[status] = (statuses[status] ?? 0) + 1
    }
    return statuses
  }
  return { knock, statusOf, guess, clock, told }
}

describe('a door', () => {
  test.each(users)('lets in $name by name and password, with their role', async ({ name, password, role }) => {
    const { knock } = await createDoor({ users })
    expect(await knock(basic(name, password))).toMatchObject({ status: 200, body: { caller: name, role } })
  })

  test.each([
    ['a wrong password', basic('ann', 'correct hors')],
    ['a longer password', basic('ann', 'correct horse ')],
    ['the password in another case', basic('ann', 'Correct Horse')],
    ['an empty password', basic('ann', '')],
    ["another user's password", basic('ann', 'battery:staple')],
    ['a wrong name', basic('eve', 'correct horse')],
    ['an empty name', basic('', 'correct horse')],
    ['nothing', basic('', '')],
    ['name and password the wrong way round', basic('correct horse', 'ann')],
    ['the same letters in another Unicode form', basic('zoe\u0308', 'päßwörd 🛒')],
    ['no colon', `Basic ${btoa('anncorrect horse')}`],
    ['the password as a token', bearer('correct horse')],
    ['the credentials as a token', bearer('ann:correct')],
    ['another scheme', 'Digest ann'],
    ['no credentials', 'Basic '],
    ['nothing at all', undefined],
  ])('stays closed to %s, and says how to come in', async (_, authorization) => {
    const { knock } = await createDoor({ users })
    const { status, headers } = await knock(authorization)
    expect([status, headers['www-authenticate']]).toEqual([401, 'Basic realm="order-expiry", charset="UTF-8"'])
  })

  test('lets in a token with its scopes, and no expired one', async () => {
    const { knock } = await createDoor({ tokens, settings: 'API_TOKENS' })
    expect(await knock(bearer(shop.token))).toMatchObject({ status: 200, body: { caller: 'shop', scopes: ['pay'] } })
    expect((await knock(bearer(past.token))).body.detail).toBe(
      'expected Authorization: Bearer with a token of API_TOKENS, given past, which has expired',
    )
    expect((await knock(basic('shop', shop.token))).headers['www-authenticate']).toMatch(/^Bearer .*invalid_token/)
  })

  test('with users and tokens lets in both, and says so', async () => {
    const { knock, statusOf } = await createDoor({ users, tokens })
    expect([await statusOf(basic('ann', ann.password)), await statusOf(bearer(shop.token))]).toEqual([200, 200])
    expect((await knock()).headers['www-authenticate']).toMatch(/^Basic .*, Bearer /)
  })
})

describe('wrong passwords', () => {
  test('of one address are refused unread after 20 in a minute, with a time to come back', async () => {
    const { guess, knock, clock, told } = await createDoor({ users })
    expect(await guess(100)).toEqual({ 401: 20, 429: 80 })
    const limited = await knock(WRONG)
    expect(limited).toMatchObject({ status: 429, headers: { 'retry-after': '60' }, body: { code: 'RATE_LIMITED' } })
    expect((await knock(basic('ann', ann.password))).status).toBe(429) // a right guess looks like a wrong one
    expect(told.length).toBe(102)
    expect(told.at(-1)).toEqual({ door: 'pages', route: '/', address: '192.0.2.1', isLimited: true, addresses: 1 })
    await clock.advance(59_000)
    expect(await knock(WRONG)).toMatchObject({ status: 429, headers: { 'retry-after': '1' } })
    await clock.advance(1_000)
    expect(await guess(100)).toEqual({ 401: 20, 429: 80 })
  })

  test('lock out nobody else, nor whoever was right from there before', async () => {
    const { guess, statusOf } = await createDoor({ users, tokens })
    expect(await statusOf(basic('ann', ann.password))).toBe(200)
    await guess(200)
    expect(await statusOf(basic('ann', ann.password))).toBe(200)
    expect(await statusOf(basic('bob', bob.password))).toBe(429)
    expect(await statusOf(basic('bob', bob.password), '192.0.2.2')).toBe(200)
    expect(await statusOf(bearer(shop.token), '192.0.2.3')).toBe(200)
  })

  test.each(['203.0.113.7', '[2001:db8::7]'])(
    'are those of one address, whatever port a proxy writes: %s',
    async (address) => {
      const { guess, told } = await createDoor({ users })
      expect(await guess(40, (n) => (n % 2 ? `${address}:${50_000 + n}` : address))).toEqual({ 401: 20, 429: 20 })
      expect(new Set(told.map((event) => event.address))).toEqual(new Set([address.replace(/[[\]]/g, '')]))
    },
  )

  test('are not: a request without credentials, and an expired token', async () => {
    const { knock, statusOf, told } = await createDoor({ tokens })
    for (let n = 0; n < 50; n++) {
      expect([await statusOf(), await statusOf(bearer(past.token))]).toEqual([401, 401])
    }
    expect((await knock(bearer(shop.token))).status).toBe(200)
    expect(told).toEqual([])
  })
})
