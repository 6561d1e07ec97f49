/**
 * SHA-1 of those scripts of BullMQ whose work `batch-claims.ts` does or relies on, in the versions that it has been compared with.
 * `npm run fingerprints` tells those of the BullMQ that is installed.
 */
export const KNOWN_SCRIPTS: Readonly<Record<string, readonly string[]>> = {
  moveToActive: ['d96ca626f1ea141b44a856b312fc636d99aa9ea9'],
  moveToFinished: ['69666e69dd5621df59067a03de685e55a486560d'],
  moveToDelayed: ['9f83944d6edafd63c74121d73299dd3358ddfe0c'],
  moveStalledJobsToWait: ['1e9bb7deb6219644a634d32c430ce15ed39a377e'],
  extendLocks: ['c35baf769e5dc3d9194b2bceca04ab59f7c510f7'],
}

/** Names of scripts that are not as any known version has them. @param sha1Of of a script of BullMQ */
export function unknownScripts(sha1Of: (name: string) => string | undefined): string[] {
  return Object.entries(KNOWN_SCRIPTS).flatMap(([name, known]) => (known.includes(sha1Of(name) ?? '') ? [] : [name]))
}
