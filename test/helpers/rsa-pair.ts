import { generateKeyPairSync, type KeyObject } from 'node:crypto'

export interface RsaPair {
  publicKey: KeyObject
  privateKey: KeyObject
}

export function rsaPair(): RsaPair {
  return generateKeyPairSync('rsa', { modulusLength: 2_048 })
}

export function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: key.type === 'private' ? 'pkcs8' : 'spki' }) as string
}

/** The bare base64 of a key, as Alipay's own tool hands it out. */
export function base64Of(key: KeyObject, type: 'pkcs1' | 'pkcs8' | 'spki'): string {
  return (key.export({ format: 'der', type } as { format: 'der'; type: 'pkcs1' }) as Buffer).toString('base64')
}
