/** A part of the built daemon, or of an example beside it, that is taken out, and the cases that must notice. */
export interface Mutation {
  name: string
  /** Each file as seen from `dist`. */
  edits: readonly { file: string; from: string | RegExp; to: string }[]
  cases: readonly string[]
}

const SQL = 'stores/postgres/cancelling.js'
const CONDITIONS = 'stores/postgres/sql.js'
const CANCELLATION = 'stores/postgres/cancellation.js'
const SCRIPTS = 'stores/redis/scripts.js'
const STOCK = '../docs/stock/cancel.sql'

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'the condition on the deadline, in the cancelling statement',
    edits: [
      { file: SQL, from: / AND deadline BETWEEN \$\{floor\} AND now\(\)/, to: '' },
      {
        file: SQL,
        from: / AND coalesce\(\$\{own\}, \$\{atMs\('s\.ms'\)\}\) BETWEEN \$\{floor\} AND now\(\)(?=\) IS TRUE\n\s+\$\{payment)/,
        to: '',
      },
      { file: SQL, from: /\$\{deadline \? ` AND coalesce\(\$\{own\} <= now\(\), true\)` : ''\}/, to: '' },
    ],
    cases: ['jobs promoted', 'negative delay'],
  },
  {
    name: 'the condition on the status and the payment, in the cancelling statement',
    edits: [
      { file: CONDITIONS, from: /status && `\$\{status\.compared\} IN .*`(?=,\n\s+paidAt &&)/, to: "'true'" },
      { file: CONDITIONS, from: /paidAt && `[^`]* IS NULL`/, to: "''" },
    ],
    cases: ['jobs promoted', 'worker clock 5 min ahead'],
  },
  {
    name: 'ORDERS_CONDITION, in the cancelling statement',
    edits: [{ file: CONDITIONS, from: /condition && `[^`]*`/, to: "''" }],
    cases: ['payments that only a condition tells of'],
  },
  {
    name: 'ORDERS_TIME_ZONE: every time is taken for UTC',
    edits: [{ file: 'stores/postgres/matching.js', from: "ORDERS_TIME_ZONE: zone = 'UTC'", to: "zone = 'UTC'" }],
    cases: ['times without a zone, written in New York'],
  },
  {
    name: 'the floor of deadlines',
    edits: [{ file: 'order/deadline.js', from: /FLOOR_MS = [\d_]+/, to: 'FLOOR_MS = -63_000_000_000_000' }],
    cases: ['first start on an old table'],
  },
  {
    name: 'the end of the backlog, in what the sweep reads',
    edits: [
      {
        file: 'stores/postgres/statements.js',
        from: /unpaidDueBefore: page\(isFrom\(deadline, `[^`]*`\)\)/,
        to: 'unpaidDueBefore: page(isFrom(deadline, String(FLOOR_MS)))',
      },
    ],
    cases: ['first start on an old table'],
  },
  {
    name: 'the look at what was written: what was asked for counts',
    edits: [
      { file: SQL, from: 'bool_or(cancelled) AS cancelled', to: 'true AS cancelled' },
      { file: CANCELLATION, from: 'checks.length > 0 && this.#options.actors().actLater', to: 'false' },
    ],
    cases: [
      'a trigger gives the status back',
      'a trigger puts the status back afterwards',
      'a trigger of a view changes nothing',
    ],
  },
  {
    name: 'the ROLLBACK of a transaction in which a cancellation was undone',
    edits: [{ file: CANCELLATION, from: "isUndone ? { end: 'ROLLBACK'", to: "isUndone ? { end: 'COMMIT'" }],
    cases: ['a trigger puts the status back afterwards'],
  },
  {
    name: 'the sweeper',
    edits: [{ file: 'sweep/sweeper.js', from: '...loop,', to: '...loop, start: async () => {},' }],
    cases: ['orders of which nobody tells Redis', 'Redis emptied'],
  },
  {
    name: "the outbox's place in the transaction",
    edits: [
      { file: SQL, from: /, event AS \(\$\{event\}\n\)/, to: ', event AS (SELECT $5::text)' },
      {
        file: CANCELLATION,
        from: 'if (!actors().hasRowSecurity)',
        to: `const gone = checks.filter((_, n) => outcomes[n].kind === 'cancelled');
        const events = [gone.map(idOf), gone.map(({ deadline }) => new Date(deadline)), gone.map(() => null), by];
        if (gone.length > 0)
            await connections.with((client) => client.query(statements.insertOutbox, events));
        if (!actors().hasRowSecurity)`,
      },
    ],
    cases: ['lost answer to the COMMIT of our own statement'],
  },
  {
    name: 'the rule that a brake which is not known is not released',
    edits: [{ file: 'brake/brake.js', from: 'this.known?.engaged === false', to: '!this.known?.engaged' }],
    cases: ['brake engaged where the workers may not read it'],
  },
  {
    name: 'the breaker',
    edits: [{ file: 'runtime/breaker.js', from: /this\.#failure = failure;/, to: 'return;' }],
    cases: ['PostgreSQL away for 30 s'],
  },
  {
    name: "the worker's fetch after a fault",
    edits: [
      {
        file: 'queue/worker/worker.js',
        from: "worker.on('error', (error) =>",
        to: "worker.once('error', () => (worker.hasMetFault = true)).on('error', (error) =>",
      },
      {
        file: 'queue/worker/worker.js',
        from: 'const sleep = new Sleep(',
        to: `const claim = claims.claim.bind(claims);
    claims.claim = (asked) => worker.hasMetFault ? new Promise(() => {}) : claim(asked);
    const sleep = new Sleep(`,
      },
    ],
    cases: [
      'Redis away for 3 s',
      'Redis away for 14 s',
      'Redis killed and restarted from its append-only file',
      'Redis read-only under load',
    ],
  },
  {
    name: 'the sweeps in the place of the workers, while Redis is away',
    edits: [{ file: 'sweep/sweeper.js', from: 'isRedisAway()', to: 'false' }],
    cases: ['Redis away for 14 s'],
  },
  {
    name: 'the clock of Redis, by which checks run',
    edits: [
      {
        file: 'queue/worker/wrapped-claims.js',
        from: 'return this.#client.runCommand(',
        to: `void this.#client.set('own-clock', Date.now());
        return this.#client.runCommand(`,
      },
      {
        file: 'queue/worker/claims.js',
        from: "local time = redis.call('TIME')",
        to: `local own = redis.call('GET', 'own-clock')
local time = {string.sub(own, 1, -4), string.sub(own, -3) * 1000}`,
      },
    ],
    cases: ['worker clock 10 min ahead, then set right', 'worker clock 10 min behind, no deadline column'],
  },
  {
    name: 'the receipt of a claim',
    edits: [{ file: 'queue/worker/claims.js', from: 'if last == token then', to: 'if false then' }],
    cases: ['lost reply to a fetch, cut', 'lost reply to a fetch, cut; wrapped claims'],
  },
  {
    name: 'the look at who has the lock, in the script that ends jobs',
    edits: [
      {
        file: 'queue/worker/batch-claims.js',
        from: 'holders[n] ~= token and (holders[n] and -6 or -2)',
        to: 'not holders[n] and -2',
      },
    ],
    cases: ['end by a worker that has lost its locks'],
  },
  {
    name: 'the order of the writes of a claim: into active first, then out of the delayed ones',
    edits: [
      { file: 'queue/worker/batch-claims.js', from: 'make_active(due)\n', to: '' },
      {
        file: 'queue/worker/batch-claims.js',
        from: 'for _, job in ipairs(due) do begin(job, true) end',
        to: 'make_active(due)\nfor _, job in ipairs(due) do begin(job, true) end',
      },
    ],
    cases: ['a claim refused half-way'],
  },
  {
    name: 'the order of settling and ending: the job ends first',
    edits: [
      {
        file: 'queue/worker/check.js',
        from: 'const settlements = await',
        to: `const ended = batch.checks.map(({ id, isLinked }) => ({ id, returnvalue: '{}', attemptsMade: 1, isLinked }));
    await tools.claims.complete(batch.token, ended);
    const settlements = await`,
      },
    ],
    cases: ['worker killed before the cancelling transaction'],
  },
  {
    name: 'the renewal of locks',
    edits: [{ file: 'queue/worker/worker.js', from: 'of pump.held)', to: 'of [])' }],
    cases: ['ends refused for longer than a lock lasts'],
  },
  {
    name: 'the instant in a put-back: it lasts from when Redis hears of it',
    edits: [
      {
        file: 'queue/worker/wrapped-claims.js',
        from: 'math.max(0, math.ceil(ARGV[at + 1] - now))',
        to: 'math.max(0, math.ceil(ARGV[at + 1]))',
      },
      { file: 'queue/worker/check.js', from: 'dueAt: this.#now + delayMs', to: 'dueAt: delayMs' },
    ],
    cases: ['lost reply to a put-back, half open'],
  },
  {
    name: 'the end without Redis, of a worker that stops',
    edits: [{ file: 'queue/worker/worker.js', from: /if \(idleSince !== undefined && [^{]*\) \{/, to: 'if (false) {' }],
    cases: ['SIGTERM while Redis is down'],
  },
  {
    name: 'the condition on the status, in the settling script',
    edits: [{ file: SCRIPTS, from: "if status ~= 'pending' then", to: 'if false then' }],
    cases: ['orders in Redis: killed and restarted from its append-only file', 'orders in Redis: away for 14 s'],
  },
  {
    name: 'what keeps the settling script from cancelling an order again',
    edits: [
      {
        file: SCRIPTS,
        from: "if status ~= 'pending' then",
        to: "if status ~= 'pending' and status ~= 'cancelled' then",
      },
    ],
    cases: [
      'orders in Redis: worker killed after the settling script',
      'orders in Redis: lost reply to the settling script, cut',
      'orders in Redis: lost reply to the settling script, half open',
    ],
  },
  {
    name: 'the condition on the deadline, in the settling script',
    edits: [{ file: SCRIPTS, from: 'elseif tonumber(deadline) > tonumber(now) then', to: 'elseif false then' }],
    cases: ['orders in Redis: worker killed before the settling script'],
  },
  {
    name: 'what ties stock that comes back to a cancellation, in docs/stock/cancel.sql, and the CHECK below it',
    edits: [
      { file: STOCK, from: 'FROM cancelled c JOIN order_lines', to: 'FROM wanted c JOIN order_lines' },
      { file: STOCK, from: 's.reserved - r.quantity', to: 'greatest(s.reserved - r.quantity, 0)' },
    ],
    cases: ['lost answer to the COMMIT'],
  },
  {
    name: 'the sums of the lines of one sku, in docs/stock/cancel.sql',
    edits: [
      { file: STOCK, from: 'sum(l.quantity) AS quantity', to: 'l.quantity' },
      { file: STOCK, from: '  GROUP BY l.sku\n', to: '' },
    ],
    cases: ['no fault at all'],
  },
  {
    name: 'the order in which stock is locked, in docs/stock/cancel.sql',
    edits: [{ file: STOCK, from: 'ORDER BY s.sku', to: 'ORDER BY s.sku DESC' }],
    cases: ['orders placed, paid and cancelled from the same stock'],
  },
]
