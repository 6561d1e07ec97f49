import { randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { Webhook } from 'standardwebhooks'
import { parseSecret, signedHeaders } from '../../../src/signing/standard-webhooks.ts'

const secretOf = (bytes: number) => `whsec_${randomBytes(bytes).toString('base64')}`
const keyOf = (secret: string) => parseSecret(secret) as Buffer
const body = '{"type":"order.cancelled","data":{"orderId":"ä-1 🎫"}}'

test('the published library accepts what we sign, by any of the secrets of a rotation, and nothing else', () => {
  const [old, next, other] = [secretOf(24), secretOf(64), secretOf(32)] as [string, string, string]
  const headers = signedHeaders({ id: 'evt_1', at: Date.now(), body }, [keyOf(old), keyOf(next)])
  for (const secret of [old, next]) expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body))
  expect(() => new Webhook(other).verify(body, headers)).toThrow()
  expect(() => new Webhook(old).verify(`${body} `, headers)).toThrow()
})

test.each([
  [secretOf(24), 24],
  [secretOf(64), 64],
  [secretOf(23), undefined],
  [secretOf(65), undefined],
  [secretOf(32).slice(6), undefined],
  ['whsec_', undefined],
  [`whsec_${'!'.repeat(40)}`, undefined],
])('a secret has 24 to 64 bytes in base64: %s', (text, bytes) => {
  expect(parseSecret(text)?.length).toBe(bytes)
})
