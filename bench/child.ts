import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { killOnExit } from './kill-on-exit.ts'
import type { FromWorker, ToWorker } from './workers/host.ts'

/** A rival's worker, a process of its own that tells how far it is. */
export interface WorkerProcess {
  pid: number
  /** How many checks have finished, as the worker last told, some milliseconds ago. @throws if the worker has ended */
  finished(): number
  /** Whether something has been taken that is not finished. */
  isBusy(): Promise<boolean>
  stop(): Promise<void>
}

const READY_WITHIN_MS = 30_000

/** Forks `workers/<name>`, which is ready and idle when this resolves. */
export async function startWorker(name: string, env: Record<string, string>): Promise<WorkerProcess> {
  const child = fork(fileURLToPath(new URL(`./workers/${name}.js`, import.meta.url)), {
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
  })
  const letLive = killOnExit(child.pid as number)
  let stderr = ''
  child.stderr?.on('data', (chunk) => {
    stderr = `${stderr}${chunk}`.slice(-5_000)
    process.stderr.write(`${name}: ${chunk}`) // a rival that complains may not be at its best
  })
  const exited = once(child, 'exit').then(letLive)
  const ended = () => new Error(`the worker ${name} has ended (${child.exitCode ?? child.signalCode}): ${stderr}`)
  let finished = 0
  child.on('message', (message: FromWorker) => {
    if (message.kind === 'finished') finished = message.count
  })

  const next = <Kind extends FromWorker['kind']>(kind: Kind) =>
    new Promise<FromWorker & { kind: Kind }>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`the worker ${name} did not say ${kind}: ${stderr}`)),
        READY_WITHIN_MS,
      )
      const onMessage = (message: FromWorker) => {
        if (message.kind !== kind) return
        leave()
        resolve(message as FromWorker & { kind: Kind })
      }
      const onExit = () => {
        leave()
        reject(ended())
      }
      const leave = () => {
        clearTimeout(timer)
        child.off('message', onMessage)
        child.off('exit', onExit)
      }
      child.on('message', onMessage)
      child.on('exit', onExit)
    })

  const worker: WorkerProcess = {
    pid: child.pid as number,
    finished() {
      if (hasExited(child)) throw ended()
      return finished
    },
    async isBusy() {
      child.send({ kind: 'busy' } satisfies ToWorker)
      return (await next('busy')).busy
    },
    async stop() {
      child.kill('SIGKILL')
      await exited
    },
  }
  try {
    await next('ready')
    return worker
  } catch (error) {
    await worker.stop()
    throw error
  }
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
