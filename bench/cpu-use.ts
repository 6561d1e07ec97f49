import type { Running } from './contender.ts'
import { cpuSeconds, cpuSecondsOfTree } from './cpu.ts'
import type { Servers } from './servers.ts'

/** Seconds of CPU that a contender and its servers have used. */
export interface CpuUse {
  worker: number
  redis: number
  postgres: number
}

/** What has been used from now on until the returned function is called. */
export function watchCpu(servers: Servers, running: Running): () => CpuUse {
  const read = (): CpuUse => ({
    worker: running.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0),
    redis: cpuSeconds(servers.redisPid),
    postgres: cpuSecondsOfTree(servers.postgresPid),
  })
  const before = read()
  return () => {
    const after = read()
    return {
      worker: after.worker - before.worker,
      redis: after.redis - before.redis,
      postgres: after.postgres - before.postgres,
    }
  }
}
