/** How one order is paid, as its row has it. */
export interface Payment {
  /** The provider's name of the payment. */
  reference: string
  method?: string | undefined
  /** As the column has it, in its own unit. */
  amount?: string | undefined
}

/** What a gateway is asked to close. */
export interface Closing {
  orderId: string
  payment: Payment
  /** Epoch milliseconds. */
  deadline: number
  /** The same however often this payment of this order is closed. */
  idempotencyKey: string
}

/** What a provider says of a payment that is to be closed. `detail` is for people, and without a secret. */
export type Verdict = (
  | { kind: 'closed' }
  | { kind: 'paid' }
  | { kind: 'authorised' }
  | { kind: 'in-flight'; retryAfterMs?: number | undefined }
  | { kind: 'closing'; retryAfterMs?: number | undefined }
  | { kind: 'cannot-close' }
  /** `isThere`: the provider works, and only this payment is the trouble. */
  | { kind: 'unknown'; isThere?: boolean; retryAfterMs?: number | undefined }
) & { detail?: string | undefined }

/** Closes payments at their provider, so that an order that is cancelled can no longer be paid. */
export interface PaymentGateway {
  readonly name: string
  /** Never rejects, and ends within a bounded time. Only `closed` promises that no money can come any more. */
  close(closing: Closing): Promise<Verdict>
  /** Resolves whatever is down. */
  dispose(): Promise<void>
}
