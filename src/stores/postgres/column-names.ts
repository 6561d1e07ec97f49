/** What a column is most likely for. */
export type Purpose = 'id' | 'status' | 'deadline' | 'payment' | 'cancellation' | 'creation' | 'deletion'

const WHEN = 'at on time date datetime timestamp gmt utc'
const BESIDE = 'order booking reservation is has was been'

/**
 * The names of each purpose: a name has one word of each list, and no others than these and `beside`. So `payment_status` is
 * one of a payment, and `payment_due_date`, `payment_method` and `unpaid` are not.
 */
const SHAPES: Record<Purpose, readonly { oneOfEach: readonly string[]; beside?: string }[]> = {
  payment: [
    { oneOfEach: ['paid payed settled captured'], beside: `${WHEN} status state flag amount total full in` },
    {
      oneOfEach: [
        'pay payment payments financial',
        `${WHEN} status state flag done complete completed confirmed received success succeeded`,
      ],
    },
  ],
  creation: [
    { oneOfEach: ['created create creation inserted placed ordered submitted add added'], beside: WHEN },
    { oneOfEach: ['order', 'at time date'] },
  ],
  deadline: [
    {
      oneOfEach: ['deadline due until expires expire expired expiry expiration timeout'],
      beside: `${WHEN} by pay payment reserved hold held valid`,
    },
  ],
  deletion: [{ oneOfEach: ['deleted delete archived removed trashed'], beside: `${WHEN} status state flag` }],
  cancellation: [{ oneOfEach: ['cancelled canceled cancel closed close voided void ended'], beside: WHEN }],
  status: [{ oneOfEach: ['status state stage'] }],
  id: [{ oneOfEach: ['id uuid ulid number no sn code key'] }],
}

/** Undefined for names that could be anything. */
export function purposeOf(name: string): Purpose | undefined {
  const words = wordsOf(name)
  const purposes = Object.keys(SHAPES) as Purpose[]
  return purposes.find((purpose) => SHAPES[purpose].some((shape) => fits(words, shape)))
}

function fits(words: readonly string[], { oneOfEach, beside = '' }: { oneOfEach: readonly string[]; beside?: string }) {
  const lists = oneOfEach.map((list) => list.split(' '))
  const known = new Set([...lists.flat(), ...beside.split(' '), ...BESIDE.split(' ')])
  return words.every((word) => known.has(word)) && lists.every((list) => list.some((word) => words.includes(word)))
}

/** Words that are written as one, as names without quotes often are: `ispaid`, `paymentstatus`, `createdat`. */
const GLUED =
  /^(is|has|order)?(paid|payment|pay|settled|captured|financial|created?|placed|inserted|expires?|expiry|deleted?|archived|status|state|id)(at|on|time|date|status|state)?$/

/** The words of a name, in lower case: `paymentStatus`, `PaymentStatus` and `payment_status` have the same. */
export function wordsOf(name: string): string[] {
  return name
    .replace(/([\p{Ll}\d])(?=\p{Lu})/gu, '$1_')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .flatMap((word) => GLUED.exec(word)?.slice(1) ?? [word])
    .filter((word) => word !== '' && word !== undefined)
}
