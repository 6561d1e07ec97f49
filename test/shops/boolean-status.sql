-- No status but two flags: cancelled or not, paid or not.
-- env ORDERS_TABLE=orders
-- env ORDERS_STATUS_COLUMN=is_cancelled
-- env ORDERS_UNPAID_STATUSES=false
-- env ORDERS_CANCELLED_STATUS=true
-- env ORDERS_DEADLINE_COLUMN=pay_until
-- env ORDERS_CONDITION=NOT is_paid AND NOT is_draft
-- cancelled is_cancelled
CREATE TABLE orders (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  is_cancelled boolean NOT NULL DEFAULT false,
  is_paid boolean NOT NULL DEFAULT false,
  is_draft boolean,
  pay_until timestamptz NOT NULL,
  expect text NOT NULL
);
INSERT INTO orders (is_paid, is_draft, pay_until, expect)
SELECT paid, draft, now() + due::interval, expect
FROM generate_series(1, 20) n, (VALUES
  (false, false, '4 seconds', 'cancelled'),
  (true, false, '4 seconds', 'kept'),
  (false, true, '4 seconds', 'kept'),
  (false, NULL, '4 seconds', 'kept'),
  (false, false, '1 hour', 'later'),
  (false, false, '-2 years', 'backlog')) v (paid, draft, due, expect);
