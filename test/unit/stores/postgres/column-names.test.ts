import { expect, test } from '@jest/globals'
import { type Purpose, purposeOf } from '../../../../src/stores/postgres/column-names.ts'

const NAMES: Record<Purpose | 'none', string> = {
  payment: `paid is_paid isPaid ispaid order_paid payment_status paymentStatus paymentstatus payment_state pay_status paid_at paidAt
    paidat PaidAt paid_on date_paid pay_time payment_time payment_date settled_at captured_at financial_status gmt_payment amount_paid
    payment_confirmed_at has_been_paid paid_in_full payed`,
  creation:
    'created_at createdAt createdat created create_time gmt_create inserted_at placed_at ordered_at order_date add_time added_at',
  deadline: `payment_deadline expires_at expiresAt expiresat reserved_until valid_until due_at payment_due_date
    expire_time hold_expires_at`,
  deletion: 'deleted_at deletedAt is_deleted isDeleted delete_status deleted archived archived_at removed_at',
  cancellation: 'cancelled_at canceledAt closed_at voided_at',
  status: 'status order_status state orderState',
  id: 'id order_id orderId uuid order_number order_sn',
  none: `unpaid prepaid paid_by payment_method payment_id transaction_id paymentDeadlineReminder pay payment payment_url repaid
    updated_at note status_text paypal_id user_id capture_method settlement`,
}

test.each(
  Object.entries(NAMES).flatMap(([purpose, names]) =>
    names
      .split(/\s+/)
      .filter(Boolean)
      .map((name): [string, string] => [name, purpose]),
  ),
)('%s: %s', (name, purpose) => {
  expect(purposeOf(name) ?? 'none').toBe(purpose)
})
