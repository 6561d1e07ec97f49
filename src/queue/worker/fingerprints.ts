import type { IRedisClient } from 'bullmq'
import { bullMqScriptOf, type ScriptClient } from '../../redis/scripts.ts'

/** The latest version of BullMQ of which all these scripts are known. */
export const KNOWN_BULLMQ = '6.7.0'

/**
 * SHA-1 of those scripts of BullMQ whose work `batch-claims.ts` does or relies on, in the versions that it has been compared with.
 * What adds jobs is none of them: producers bring scripts of their own. `npm run fingerprints` tells those of the BullMQ that is
 * installed.
 */
export const KNOWN_SCRIPTS: Readonly<Record<string, readonly string[]>> = {
  moveToActive: ['d96ca626f1ea141b44a856b312fc636d99aa9ea9'],
  moveToFinished: ['69666e69dd5621df59067a03de685e55a486560d'],
  moveToDelayed: ['9f83944d6edafd63c74121d73299dd3358ddfe0c'],
  moveStalledJobsToWait: ['1e9bb7deb6219644a634d32c430ce15ed39a377e'],
  extendLocks: ['c35baf769e5dc3d9194b2bceca04ab59f7c510f7'],
}

/** Each of these scripts as a client has it on which BullMQ has defined its own. `sha1` undefined: there is none of this name. */
export function fingerprintsOf(
  client: IRedisClient,
  scripts = KNOWN_SCRIPTS,
): { name: string; sha1: string | undefined; isKnown: boolean }[] {
  return Object.entries(scripts).map(([name, known]) => {
    const sha1 = bullMqScriptOf(client as IRedisClient & ScriptClient, name)?.sha
    return { name, sha1, isKnown: sha1 !== undefined && known.includes(sha1) }
  })
}

/** Names of those that are not as any known version has them. */
export function unknownScripts(client: IRedisClient): string[] {
  return fingerprintsOf(client).flatMap(({ name, isKnown }) => (isKnown ? [] : [name]))
}
