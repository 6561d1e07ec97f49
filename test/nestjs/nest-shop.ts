import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const TOOLS = resolve('test/library/node_modules')
const VERSION = JSON.parse(readFileSync('package.json', 'utf8')).version as string
const PAGE = readFileSync(resolve('docs/nestjs.md'), 'utf8')
const PROGRAMS = resolve('test/nestjs/programs')

/** What a program of Node has done: it has ended by itself, or was killed after two minutes. */
interface Run {
  code: number | null
  output: string
}

/** The application of docs/nestjs.md in a folder of its own, with a version of Nest and the packed library, compiled. */
export class NestShop {
  readonly #dir = mkdtempSync(join(tmpdir(), 'order-expiry-nest-'))

  constructor({ version }: { version: number }) {
    for (const file of ['package.json', 'package-lock.json']) {
      cpSync(resolve(`test/nestjs/${version}`, file), join(this.#dir, file))
    }
    const packed = resolve(`order-expiry-${VERSION}.tgz`)
    const quietly = ['--ignore-scripts', '--no-engine-strict', '--no-audit', '--no-fund', '--loglevel', 'error']
    const { code, output } = this.#spawn('npm', ['install', ...quietly, packed])
    if (code !== 0) throw new Error(`npm install: exit code ${code}: ${output}`)
  }

  /** Compiles it anew. @returns what the compiler complains of */
  compile({
    type,
    resolution = { module: 'nodenext' },
  }: {
    type: 'commonjs' | 'module'
    resolution?: object
  }): string[] {
    const src = join(this.#dir, 'src')
    rmSync(src, { recursive: true, force: true })
    mkdirSync(src)
    for (const [name, text] of blocksOfPage()) writeFileSync(join(src, name), text)
    for (const name of readdirSync(PROGRAMS)) cpSync(join(PROGRAMS, name), join(src, name))
    const manifest = JSON.parse(readFileSync(join(this.#dir, 'package.json'), 'utf8'))
    this.#write('package.json', { ...manifest, type })
    this.#write('tsconfig.json', {
      compilerOptions: {
        target: 'es2022',
        ...resolution,
        strict: true,
        exactOptionalPropertyTypes: true,
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        skipLibCheck: true,
        rootDir: 'src',
        outDir: 'dist',
        types: ['node'],
        typeRoots: [join(TOOLS, '@types')],
        paths: { '@jest/globals': [resolve('node_modules/@jest/globals/build/index.d.ts')] },
      },
      include: ['src'],
    })
    const { output } = this.#spawn(process.execPath, [join(TOOLS, 'typescript/bin/tsc'), '-p', this.#dir])
    return output.split('\n').filter((line) => line !== '')
  }

  /** Runs one of its programs, with this Redis. */
  run(program: string, redis: { url: string }): Run {
    return this.#spawn(process.execPath, ['--no-warnings', join(this.#dir, 'dist', program)], { REDIS_URL: redis.url })
  }

  /** Runs its test with Jest, which requires CommonJS only and makes that of Nest's own packages; no Redis is there. */
  test(): Run {
    const config = {
      rootDir: join(this.#dir, 'dist'),
      transform: { '\\.js$': [resolve('node_modules/@swc/jest'), { module: { type: 'commonjs' } }] },
      transformIgnorePatterns: [/transformIgnorePatterns: \['(.+?)'\]/.exec(PAGE)?.[1]],
    }
    const jest = resolve('node_modules/jest/bin/jest.js')
    return this.#spawn(process.execPath, [jest, '--no-cache', '--config', JSON.stringify(config)])
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true })
  }

  #write(name: string, json: object): void {
    writeFileSync(join(this.#dir, name), JSON.stringify(json))
  }

  #spawn(command: string, args: string[], env: NodeJS.ProcessEnv = {}): Run {
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd: this.#dir,
      encoding: 'utf8',
      env: { ...process.env, ...env },
      timeout: 120_000,
    })
    return { code: status, output: stdout + stderr }
  }
}

/** The files that docs/nestjs.md shows, by their names. */
function blocksOfPage(): [name: string, text: string][] {
  return [...PAGE.matchAll(/^```ts\n\/\/ (\S+\.ts)\n([\s\S]*?)^```$/gm)].map(([, name = '', text = '']) => [name, text])
}
