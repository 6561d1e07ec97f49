import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { ColumnRow } from '../../../../src/stores/postgres/catalogue.ts'
import { canHoldId, type IdType } from '../../../../src/stores/postgres/ids.ts'
import { matchColumns } from '../../../../src/stores/postgres/matching.ts'
import { quoteIdentifier, quoteTable } from '../../../../src/stores/postgres/quoting.ts'
import type { PostgresSettings } from '../../../../src/stores/postgres/settings.ts'
import { postgresSettings } from '../../../helpers/postgres-settings.ts'

describe('quoteIdentifier', () => {
  test.each([
    ['orders', '"orders"'],
    ['Orders', '"Orders"'],
    ['order lines', '"order lines"'],
    ['say "x"', '"say ""x"""'],
    ['"; DROP TABLE orders; --', '"""; DROP TABLE orders; --"'],
    ['', '""'],
  ])('writes %j as %s', (name, sql) => {
    expect(quoteIdentifier(name)).toBe(sql)
  })

  test('writes one quoted identifier, which reads back as the name, whatever is in it', () => {
    const names = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('"', '\\', "'", ';', 'a', '.') }))
    fc.assert(
      fc.property(names, (name) => {
        const sql = quoteIdentifier(name)
        expect(sql).toMatch(/^"(?:[^"]|"")*"$/)
        expect(sql.slice(1, -1).replaceAll('""', '"')).toBe(name)
      }),
    )
  })
})

describe('quoteTable', () => {
  test.each([
    ['orders', '"orders"'],
    ['Orders', '"Orders"'],
    ['shop.orders', '"shop"."orders"'],
    ['order lines', '"order lines"'],
    ['"orders"', '"orders"'],
    ['"my.schema"."Orders"', '"my.schema"."Orders"'],
    ['"my.schema".orders', '"my.schema"."orders"'],
    ['shop."o""x"', '"shop"."o""x"'],
    ["orders'; DROP TABLE x; --", '"orders\'; DROP TABLE x; --"'],
  ])('reads %s as %s', (name, sql) => {
    expect(quoteTable(name)).toBe(sql)
  })

  test.each([
    '',
    '.',
    'a.',
    '.a',
    'a.b.c',
    'a..b',
    '"a',
    'a"',
    'a"b',
    '""',
    '""."x"',
    '"a"b',
    '"a"."b"."c"',
    '"a" . "b"',
  ])('refuses %j', (name) => {
    expect(quoteTable(name)).toBeUndefined()
  })

  const names = fc.string({ minLength: 1 })

  test('reads what quoteIdentifier writes, with and without a schema', () => {
    fc.assert(
      fc.property(names, names, (schema, table) => {
        const [a, b] = [quoteIdentifier(schema), quoteIdentifier(table)]
        expect(quoteTable(b)).toBe(b)
        expect(quoteTable(`${a}.${b}`)).toBe(`${a}.${b}`)
      }),
    )
  })

  test('gives one or two quoted identifiers and nothing else, or refuses', () => {
    fc.assert(
      fc.property(fc.oneof(names, fc.string({ unit: fc.constantFrom('"', '.', 'a', ';') })), (name) => {
        expect(quoteTable(name) ?? '"none"').toMatch(/^"(?:[^"]|"")+"(?:\."(?:[^"]|"")+")?$/)
      }),
    )
  })
})

describe('canHoldId', () => {
  const bounds: Record<'smallint' | 'integer' | 'bigint', [least: string, most: string, below: string, above: string]> =
    {
      smallint: ['-32768', '32767', '-32769', '32768'],
      integer: ['-2147483648', '2147483647', '-2147483649', '2147483648'],
      bigint: ['-9223372036854775808', '9223372036854775807', '-9223372036854775809', '9223372036854775808'],
    }

  describe.each(Object.entries(bounds))('%s', (name, [least, most, below, above]) => {
    const type = name as IdType

    test.each([least, most, '0', '1', '-1', '1234'])('holds %s', (id) => {
      expect(canHoldId(type, id)).toBe(true)
    })

    test.each([
      below,
      above,
      '99999999999999999999',
      '9'.repeat(200),
      '',
      'abc',
      '1.0',
      '1e3',
      '0x10',
      '1_000',
      '+1',
      '-0',
      '00',
      '007',
      ' 1',
      '1 ',
      '1\n',
      '١',
      'NaN',
      "1'; drop table orders; --",
    ])('does not hold %j', (id) => {
      expect(canHoldId(type, id)).toBe(false)
    })

    test('holds exactly the whole numbers of its range', () => {
      const numbers = fc.bigInt({ min: -(1n << 65n), max: 1n << 65n })
      fc.assert(
        fc.property(fc.oneof(numbers, fc.maxSafeInteger().map(BigInt), fc.integer().map(BigInt)), (id) => {
          expect(canHoldId(type, String(id))).toBe(id >= BigInt(least) && id <= BigInt(most))
        }),
      )
    })
  })

  test('uuid holds every UUID, in either case', () => {
    fc.assert(
      fc.property(fc.uuid(), (id) => {
        expect(canHoldId('uuid', id)).toBe(true)
        expect(canHoldId('uuid', id.toUpperCase())).toBe(true)
      }),
    )
    expect(canHoldId('uuid', '00000000-0000-0000-0000-000000000000')).toBe(true)
  })

  test.each([
    '',
    '1234',
    'a0eebc999c0b4ef8bb6d6bb9bd380a11',
    '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111',
    'g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\n',
  ])('uuid does not hold %j', (id) => {
    expect(canHoldId('uuid', id)).toBe(false)
  })

  test.each(['1234', 'a:b:c:d', '../x', "o'; drop table", '🛒', 'x'.repeat(200)])('text holds %j', (id) => {
    expect(canHoldId('text', id)).toBe(true)
  })
})

describe('matchColumns', () => {
  const row = (name: string, type: string, more: Partial<ColumnRow> = {}): ColumnRow => ({
    schema: 'shop',
    relation: 'Orders',
    name,
    type,
    sql_type: type,
    labels: null,
    is_domain: false,
    max_length: null,
    is_generated: false,
    is_unique: true,
    kind: 'r',
    is_not_null: false,
    is_readable: true,
    ...more,
  })
  const labels = ['pending', 'paid', 'cancelled']
  const rows = [
    row('id', 'int8', { sql_type: 'bigint' }),
    row('status', 'order_status', { sql_type: 'shop.order_status', labels }),
    row('due', 'timestamptz', { sql_type: 'timestamp with time zone' }),
    row('paid_at', 'date'),
    row('void_at', 'timestamp', { sql_type: 'timestamp without time zone' }),
    row('note', 'jsonb'),
  ]
  const settings = postgresSettings({
    ORDERS_TABLE: 'shop."Orders"',
    ORDERS_ID_COLUMN: 'id',
    ORDERS_STATUS_COLUMN: 'status',
    ORDERS_DEADLINE_COLUMN: 'due',
    ORDERS_PAID_AT_COLUMN: 'paid_at',
    ORDERS_CANCELLED_AT_COLUMN: 'void_at',
  })
  const least = {
    ...settings,
    ORDERS_DEADLINE_COLUMN: undefined,
    ORDERS_PAID_AT_COLUMN: undefined,
    ORDERS_CANCELLED_AT_COLUMN: undefined,
  }

  /** The problems that it finds, one line each. */
  function problems(change: Partial<PostgresSettings>, columns: readonly ColumnRow[] = rows): string[] {
    const found = matchColumns(columns, { settings: { ...settings, ...change } })
    expect(found.columns === undefined).toBe(found.problems.length > 0)
    return found.problems
  }

  test('takes a date of payment, but not to tell the silence of payments', () => {
    expect(matchColumns(rows, { settings, watchesPayments: false }).problems).toEqual([])
    expect(matchColumns(rows, { settings, watchesPayments: true }).problems).toEqual([
      expect.stringMatching(
        /^BRAKE_PAYMENT_SILENCE: expected paid_at to be timestamptz or timestamp, it is date, [^\n]*$/,
      ),
    ])
    const sound = rows.map((each) => (each.name === 'paid_at' ? row('paid_at', 'timestamp') : each))
    expect(matchColumns(sound, { settings, watchesPayments: true }).problems).toEqual([])
  })

  test('gives everything as SQL, quoted, with its type', () => {
    const read = { zone: 'UTC', unitMs: 1, afterMs: 0 }
    expect(matchColumns(rows, { settings }).columns).toEqual({
      schema: 'shop',
      table: '"shop"."Orders"',
      name: 'shop."Orders"',
      outbox: '"shop"."order_expiry_outbox"',
      registry: '"shop".order_expiry_tables',
      latePayments: '"shop".order_expiry_late_payments',
      id: '"id"',
      idType: 'bigint',
      idCast: 'bigint',
      isUnique: true,
      isReadable: true,
      status: { sql: '"status"', type: 'shop.order_status', compared: '"status"' },
      deadline: { sql: '"due"', type: 'timestamptz', ...read },
      paidAt: { sql: '"paid_at"', type: 'date' },
      cancelledAt: { sql: '"void_at"', type: 'timestamp', ...read },
      unpaidStatuses: ['pending'],
      cancelledStatus: 'cancelled',
      condition: undefined,
      assigned: [],
    })
  })

  test.each<[string, Partial<ColumnRow>, Partial<PostgresSettings>, RegExp]>([
    [
      'char(1)',
      { type: 'bpchar', max_length: 1 },
      {},
      /^ORDERS_UNPAID_STATUSES: expected up to 1 character, .* given pending$/,
    ],
    ['smallint', { type: 'int2' }, { ORDERS_UNPAID_STATUSES: ['40000'] }, /^ORDERS_UNPAID_STATUSES: .* given 40000:/],
    [
      'citext',
      { type: 'citext' },
      { ORDERS_CANCELLED_STATUS: 'Pending' },
      /^ORDERS_CANCELLED_STATUS: .* given Pending, which is pending/,
    ],
    ['generated', { type: 'text', is_generated: true }, {}, /^ORDERS_STATUS_COLUMN: .* is generated; leave it empty/],
  ])('refuses statuses that a column does not hold, tell apart or let be written: %s', (_, column, change, problem) => {
    const of = [...rows.filter(({ name }) => name !== 'status'), row('status', 'text', column)]
    expect(problems(change, of)[0]).toMatch(problem)
  })

  test('leaves out what the shop has not', () => {
    expect(matchColumns(rows, { settings: least }).columns).toMatchObject({
      deadline: undefined,
      paidAt: undefined,
      cancelledAt: undefined,
    })
  })

  test('quotes names that need it', () => {
    const strange = [row('a"b', 'text'), row('Sta tus', 'text')]
    expect(
      matchColumns(strange, { settings: { ...least, ORDERS_ID_COLUMN: 'a"b', ORDERS_STATUS_COLUMN: 'Sta tus' } })
        .columns,
    ).toMatchObject({
      id: '"a""b"',
      status: { sql: '"Sta tus"' },
    })
  })

  test.each([
    ['text', 'text'],
    ['varchar', 'text'],
    ['uuid', 'uuid'],
    ['int2', 'smallint'],
    ['int4', 'integer'],
    ['int8', 'bigint'],
  ])('takes ids of type %s', (type, idType) => {
    expect(matchColumns([row('id', type), ...rows.slice(1)], { settings }).columns).toMatchObject({ idType })
  })

  test.each(['numeric', 'jsonb', 'bytea'])('refuses ids of type %s', (type) => {
    expect(problems({}, [row('id', type), ...rows.slice(1)])).toEqual([
      `ORDERS_ID_COLUMN: expected id to be text, varchar, char(n), citext, uuid, smallint, integer, bigint, it is ${type}; name a view in ORDERS_TABLE that has it as one, such as CREATE VIEW expiring AS SELECT *, "id"::text AS order_id FROM "Orders" (docs/tables.md)`,
    ])
  })

  test.each(['text', 'varchar'])('takes a status of type %s, whatever the statuses are', (type) => {
    const columns = [row('id', 'text'), row('status', type), ...rows.slice(2)]
    expect(problems({ ORDERS_UNPAID_STATUSES: ['new'], ORDERS_CANCELLED_STATUS: 'void' }, columns)).toEqual([])
  })

  test('says that there is no such table, with the name as it was given', () => {
    expect(problems({ ORDERS_TABLE: 'Shop.orders' }, [])).toEqual([
      expect.stringMatching(/^ORDERS_TABLE: .*Shop\.orders.*case-sensitive/),
    ])
  })

  test('says which column there is not, and which there are', () => {
    expect(problems({ ORDERS_ID_COLUMN: 'ID' })).toEqual([
      'ORDERS_ID_COLUMN: shop."Orders" has no column ID; it has id, status, due, paid_at, void_at, note: perhaps ORDERS_ID_COLUMN=id',
    ])
  })

  test('says so of a table with one column too', () => {
    expect(matchColumns(rows.slice(0, 1), { settings: least }).problems).toEqual([
      expect.stringMatching(/has no column status; it has id: leave it empty if no column is a status/),
    ])
  })

  test('says which status an enum has not, and which it has', () => {
    expect(problems({ ORDERS_UNPAID_STATUSES: ['pending', 'new', 'draft'], ORDERS_CANCELLED_STATUS: 'void' })).toEqual([
      'ORDERS_UNPAID_STATUSES: shop.order_status has no new, draft; it has pending, paid, cancelled',
      'ORDERS_CANCELLED_STATUS: shop.order_status has no void; it has pending, paid, cancelled',
    ])
  })

  test.each<[setting: string, name: string, column: ColumnRow, advice: string]>([
    ['ORDERS_ID_COLUMN', 'id', row('order_id', 'uuid'), 'perhaps ORDERS_ID_COLUMN=order_id'],
    ['ORDERS_STATUS_COLUMN', 'status', row('orderState', 'text'), 'perhaps ORDERS_STATUS_COLUMN=orderState'],
    ['ORDERS_STATUS_COLUMN', 'status', row('STATUS', 'int2'), 'perhaps ORDERS_STATUS_COLUMN=STATUS'],
    ['ORDERS_STATUS_COLUMN', 'status', row('amount', 'numeric'), 'leave it empty if no column is a status, and say'],
    [
      'ORDERS_DEADLINE_COLUMN',
      'payment_deadline',
      row('expiresAt', 'timestamptz'),
      'perhaps ORDERS_DEADLINE_COLUMN=expiresAt',
    ],
    [
      'ORDERS_DEADLINE_COLUMN',
      'payment_deadline',
      row('paymentDeadline', 'timestamp'),
      'perhaps ORDERS_DEADLINE_COLUMN=paymentDeadline',
    ],
    [
      'ORDERS_DEADLINE_COLUMN',
      'expires_att',
      row('expires_at', 'timestamptz'),
      'perhaps ORDERS_DEADLINE_COLUMN=expires_at',
    ],
    [
      'ORDERS_DEADLINE_COLUMN',
      'x',
      row('reserved_until', 'int8'),
      'perhaps ORDERS_DEADLINE_COLUMN=reserved_until with ORDERS_DEADLINE_UNIT=s or ms',
    ],
    [
      'ORDERS_DEADLINE_COLUMN',
      'x',
      row('created_at', 'timestamptz'),
      'perhaps ORDERS_DEADLINE_COLUMN=created_at with ORDERS_DEADLINE_AFTER=30m',
    ],
    ['ORDERS_DEADLINE_COLUMN', 'x', row('note', 'text'), 'leave it empty if there is none'],
    ['ORDERS_PAID_AT_COLUMN', 'x', row('paidAt', 'date'), 'perhaps ORDERS_PAID_AT_COLUMN=paidAt'],
    [
      'ORDERS_CANCELLED_AT_COLUMN',
      'x',
      row('canceled_at', 'timestamptz'),
      'perhaps ORDERS_CANCELLED_AT_COLUMN=canceled_at',
    ],
  ])('%s=%s, where there is none: what is most likely meant', (setting, name, column, advice) => {
    const found = matchColumns([column], { settings: { ...least, [setting]: name } }).problems
    expect(found.find((problem) => problem.startsWith(setting))).toContain(`it has ${column.name}: ${advice}`)
  })

  test.each<[setting: string, column: ColumnRow, advice: string]>([
    ['ORDERS_DEADLINE_COLUMN', row('x', 'int8'), 'say with ORDERS_DEADLINE_UNIT=s or ms'],
    ['ORDERS_DEADLINE_COLUMN', row('x', 'date'), 'SELECT *, ("x" + 1)::timestamptz AS deadline FROM "Orders"'],
    ['ORDERS_DEADLINE_COLUMN', row('x', 'text'), 'SELECT *, "x"::timestamptz AS deadline FROM "Orders"'],
    ['ORDERS_DEADLINE_COLUMN', row('x', 'jsonb'), `("x"->>'…')::timestamptz`],
    ['ORDERS_PAID_AT_COLUMN', row('x', 'bool'), 'ORDERS_CONDITION=NOT "x"'],
    ['ORDERS_PAID_AT_COLUMN', row('x', 'int4'), 'ORDERS_CONDITION="x" = 0'],
    ['ORDERS_PAID_AT_COLUMN', row('x', 'text'), `ORDERS_CONDITION="x" = '…'`],
    ['ORDERS_CANCELLED_AT_COLUMN', row('x', 'date'), 'ORDERS_SET="x" = current_date'],
    ['ORDERS_CANCELLED_AT_COLUMN', row('x', 'int8'), 'ORDERS_SET="x" = extract(epoch FROM now())'],
    ['ORDERS_STATUS_COLUMN', row('x', 'jsonb'), 'leave it empty, and say with ORDERS_CONDITION'],
  ])('%s that names a column of another type: what gets one further', (setting, column, advice) => {
    const found = matchColumns([column], { settings: { ...least, [setting]: 'x' } }).problems
    expect(found.find((problem) => problem.startsWith(`${setting}: expected x to be `))).toContain(advice)
  })

  test.each<[type: string, labels: string[] | null, problems: string[]]>([
    [
      'int2',
      null,
      [
        'expected whole numbers, since status is int2; given pending: say what its values mean, such as ORDERS_UNPAID_STATUSES=0',
        'ORDERS_CANCELLED_STATUS=4',
      ],
    ],
    ['bool', null, ['expected true or false, since status is bool; given pending', 'ORDERS_CANCELLED_STATUS=true']],
    [
      'Status',
      ['PENDING', 'CANCELED'],
      ['perhaps ORDERS_UNPAID_STATUSES=PENDING', 'perhaps ORDERS_CANCELLED_STATUS=CANCELED'],
    ],
  ])('the default statuses in a column of %s: how to say which of its values are meant', (type, labels, expected) => {
    const found = problems({}, [rows[0] as ColumnRow, row('status', type, { labels }), ...rows.slice(2)])
    expect(found).toEqual(expected.map((part) => expect.stringContaining(part)))
  })

  test('says everything that does not fit at once, one line for each', () => {
    const found = problems({
      ORDERS_ID_COLUMN: 'note',
      ORDERS_STATUS_COLUMN: 'void_at',
      ORDERS_DEADLINE_COLUMN: 'paid_at',
      ORDERS_PAID_AT_COLUMN: 'payed_at',
      ORDERS_CANCELLED_AT_COLUMN: 'note',
    })
    expect(found.map((problem) => problem.split(':')[0]).sort()).toEqual([
      'ORDERS_CANCELLED_AT_COLUMN', // of the wrong type, and taken
      'ORDERS_CANCELLED_AT_COLUMN',
      'ORDERS_DEADLINE_COLUMN',
      'ORDERS_ID_COLUMN',
      'ORDERS_PAID_AT_COLUMN',
      'ORDERS_STATUS_COLUMN',
    ])
  })
})
