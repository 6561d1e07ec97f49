import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { isSetting } from '../../../src/config.ts'
import { parseEnvFile, readEnvFile } from '../../../src/settings/env-file.ts'
import { asRoot } from '../../helpers/as-root.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'order-expiry-env-file-'))
})
afterEach(() => asRoot('rm', '-rf', dir))

function write(name: string, mode = 0o600): string {
  const path = join(dir, name)
  writeFileSync(path, 'CONCURRENCY=5\n')
  chmodSync(path, mode)
  return path
}

function folder(name: string, mode: number): string {
  mkdirSync(join(dir, name))
  chmodSync(join(dir, name), mode)
  return name
}

const STRANGER = '12345'

describe('a file with settings is read', () => {
  const isRead = (path: string) => expect(readEnvFile(path)).toEqual({ path, text: 'CONCURRENCY=5\n' })

  test.each([0o600, 0o400, 0o644, 0o640])('with mode %o', (mode) => {
    isRead(write('.env', mode))
  })

  test.each([0o700, 0o755, 0o1777])('in a folder of mode %o', (mode) => {
    isRead(write(`${folder('shop', mode)}/.env`))
  })

  test('behind a link of ours', () => {
    const link = join(dir, 'link')
    symlinkSync(write('.env'), link)
    isRead(link)
  })

  test('that belongs to root', () => {
    const path = write('.env', 0o644)
    asRoot('chown', '0', path)
    isRead(path)
  })
})

describe('a file is refused, with what to do, if somebody else decides what it says', () => {
  const refusal = (path: string) => {
    try {
      readEnvFile(path)
      return 'read'
    } catch (error) {
      return (error as Error).message
    }
  }

  test.each([0o666, 0o602, 0o620, 0o660])('mode %o', (mode) => {
    const path = write('.env', mode)
    expect(refusal(path)).toMatch(`${path}: expected to be writable by its owner only: chmod go-w`)
    expect(refusal(path)).toMatch('--no-env-file')
  })

  test('owner', () => {
    const path = write('.env', 0o644)
    asRoot('chown', STRANGER, path)
    expect(refusal(path)).toMatch(/expected to belong to you \(user \d+\) or to root, and it belongs to user 12345/)
  })

  test.each([0o777, 0o757])('folder of mode %o', (mode) => {
    expect(refusal(write(`${folder('shop', mode)}/.env`))).toMatch(
      'expected to be in a folder that others cannot write',
    )
  })

  test("folder that a group other than the caller's can write", () => {
    const path = write(`${folder('shop', 0o770)}/.env`)
    asRoot('chgrp', STRANGER, join(dir, 'shop'))
    expect(refusal(path)).toMatch('expected to be in a folder that others cannot write')
  })

  test('folder of somebody else', () => {
    const path = write(`${folder('shop', 0o755)}/.env`)
    asRoot('chown', STRANGER, join(dir, 'shop'))
    expect(refusal(path)).toMatch('belongs to user 12345')
  })

  test("a link of ours to somebody else's, which leads to a file of ours", () => {
    const [theirs, link] = [join(dir, 'theirs'), join(dir, 'link')]
    symlinkSync(write('notes'), theirs)
    asRoot('chown', '-h', STRANGER, theirs)
    symlinkSync(theirs, link)
    expect(refusal(link)).toMatch('belongs to user 12345')
  })

  test("somebody else's link to a file of ours", () => {
    const link = join(dir, 'link')
    symlinkSync(write('notes'), link)
    asRoot('chown', '-h', STRANGER, link)
    expect(refusal(link)).toMatch('belongs to user 12345')
  })

  test('a link of ours into a folder that everybody can write', () => {
    const link = join(dir, 'link')
    symlinkSync(write(`${folder('open', 0o777)}/.env`), link)
    expect(refusal(link)).toMatch('expected to be in a folder that others cannot write')
  })

  test.each(['\uFEFF', ''])('text in UTF-16, after the mark %j', (mark) => {
    const path = write('.env')
    writeFileSync(path, Buffer.from(`${mark}CONCURRENCY=5\n`, 'utf16le'))
    expect(refusal(path)).toMatch(`${path}: expected text in UTF-8`)
  })

  test.each<[what: string, make: (path: string) => void]>([
    ['a folder', (path) => mkdirSync(path)],
    ['a pipe, at once', (path) => execFileSync('mkfifo', [path])],
    ['a link that leads nowhere', (path) => symlinkSync('/nowhere', path)],
    ['not there', () => {}],
  ])('%s', (_, make) => {
    const path = join(dir, '.env')
    make(path)
    expect(refusal(path)).toMatch(/^\S+: expected a (readable )?file/)
  })
})

test('none is read where none is wanted', () => {
  expect(readEnvFile(false)).toBeUndefined()
})

describe('a value that can be read in two ways is left out, and told without showing it', () => {
  test.each<[what: string, text: string, name: string, advice: string]>([
    ['# within', 'API_TOKENS=shop:hunter2#hunter2\n', 'API_TOKENS', 'put the value in quotes'],
    ['# after a space', 'BOARD_ENVIRONMENT=shop #hunter2\n', 'BOARD_ENVIRONMENT', 'put the value in quotes'],
    ['# at the beginning', 'API_TOKENS=#hunter2\n', 'API_TOKENS', 'put the value in quotes'],
    ['# behind a quoted part', `ORDERS_CONDITION="a" = '#hunter2'\n`, 'ORDERS_CONDITION', 'put the value in quotes'],
    ['a quote left open', 'API_TOKENS="shop:hunter2\nREDIS_URL="redis://h"\n', 'API_TOKENS', 'no quotes around it'],
    ["another program's", `APP_TITLE="hunter2\nREDIS_URL=redis://h\nX=y"\n`, 'REDIS_URL', 'quotes of APP_TITLE: close'],
    ['of another program in ours', 'BOARD_ENVIRONMENT="x\nAPP=hunter2"\n', 'BOARD_ENVIRONMENT', 'close it'],
    ['a word before the name', 'set API_TOKENS=shop:hunter2\n', 'API_TOKENS', 'API_TOKENS=… alone on a line'],
    ['a name alone', 'APP=x\nAPI_TOKENS\n', 'API_TOKENS', 'alone on a line'],
    ['a list of YAML', '- API_TOKENS=shop:hunter2\r\n', 'API_TOKENS', 'alone on a line'],
    ['of PowerShell', '$env:API_TOKENS = "shop:hunter2"\n', 'API_TOKENS', 'alone on a line'],
    ['two quoted parts and a comment', `ORDERS_TABLE="a"."b" # hunter2\n`, 'ORDERS_TABLE', 'put the value in quotes'],
    ['after export', 'export API_TOKENS=shop:hunter2#hunter2\r\n', 'API_TOKENS', 'put the value in quotes'],
  ])('%s', (_, text, name, advice) => {
    const { values, problems } = parseEnvFile(text, isSetting)
    if (advice === 'no quotes around it') {
      expect(values[name]).toMatch(/^"/) // which is refused with the other values
      return
    }
    expect(problems).toEqual([expect.stringMatching(`^${name}: expected .*${advice}`)])
    expect(problems.join()).not.toContain('hunter2')
    expect(values).not.toHaveProperty(name)
  })

  test.each<[text: string, told: RegExp[]]>([
    [
      `API_TOKENS='shop:hunter2\nREDIS_URL=redis://h'\n`,
      [/^API_TOKENS: .*over REDIS_URL: close it/, /^REDIS_URL: .*of API_T/],
    ],
    [`API_TOKENS='hunter2\nREDIS_URL=redis://h'\nAPI_TOKENS=y\n`, [/^REDIS_URL: .*outside the quotes of API_TOKENS/]],
    [`API_TOKENS='hunter2\nREDIS_URL=redis://h'\nREDIS_URL=redis://h\n`, [/^API_TOKENS: .*over REDIS_URL: close it/]],
    [`X='\nREDIS_URL=redis://hunter2'\nX='\nORDERS_TABLE=x'\n`, [/^REDIS_URL: .*quotes of X/, /^ORDERS_TABLE: .*of X/]],
  ])('each setting that an open quote changes, the one before it and those it swallows, is told: %j', (text, told) => {
    const { values, problems } = parseEnvFile(text, isSetting)
    expect(problems).toEqual(told.map((one) => expect.stringMatching(one)))
    for (const problem of problems) expect(values).not.toHaveProperty(problem.split(':')[0] as string)
    expect(problems.join()).not.toContain('hunter2')
  })

  test.each([
    ['ORDERS_TABLE', '"my.schema"."Order"'],
    ['OUTBOX_TABLE', '"shop" . "expired"'],
    ['ORDERS_SET', '"a" = 1, "b" = "c"'],
    ['ORDERS_CONDITION', '"a" = "b"'],
    ['ORDERS_CONDITION', `'a' = kind OR kind = 'b'`],
    ['API_TOKENS', '"a","b"'],
  ])('quotes that belong to the value stay: %s=%s', (name, value) => {
    for (const line of [`${name}=${value}`, `export ${name} = ${value} `, `${name}="x"\r\n${name}=${value}\r`]) {
      expect(parseEnvFile(`${line}\n`, isSetting)).toEqual({ values: { [name]: value }, problems: [] })
    }
  })

  test.each<[text: string, values: object]>([
    ['API_TOKENS="shop:a#b"\n', { API_TOKENS: 'shop:a#b' }],
    ["API_TOKENS='shop:a#b' # ours\n", { API_TOKENS: 'shop:a#b' }],
    ['# CONCURRENCY=1\n  # too\nCONCURRENCY=5\n', { CONCURRENCY: '5' }],
    ['APP_COLOUR=#fff\nAPP_NAME="Bob\'s\nshop"\nCONCURRENCY=5 \n', { CONCURRENCY: '5' }],
    ['API_TOKENS=a#b\nAPI_TOKENS="a#b"\n', { API_TOKENS: 'a#b' }],
    [`ORDERS_SET="a"=1\nORDERS_SET='"a" = "b"'\n`, { ORDERS_SET: '"a" = "b"' }],
    ['BOARD_ENVIRONMENT="two\\nlines"\nAPP="a" b "c"\n', { BOARD_ENVIRONMENT: 'two\nlines' }],
    [`ORDERS_SET="a = 1,\n  b = 2"\n`, { ORDERS_SET: 'a = 1,\n  b = 2' }],
    [`ORDERS_CONDITION="paymentStatus" = 'UNPAID'\nX="y"\n`, { ORDERS_CONDITION: `"paymentStatus" = 'UNPAID'` }],
    ['ORDERS_STATUS_COLUMN=""\nAPI_TOKENS=\n', { ORDERS_STATUS_COLUMN: '', API_TOKENS: '' }],
    ['set APP=1\n# API_TOKENS\nexport CONCURRENCY=5\nRATHER_LONG_API_TOKENS\n', { CONCURRENCY: '5' }],
  ])('but not in %j', (text, values) => {
    expect(parseEnvFile(text, isSetting)).toMatchObject({ values, problems: [] })
  })
})
