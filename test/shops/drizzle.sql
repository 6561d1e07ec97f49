-- A shop on Drizzle: `timestamp()` without a zone, into which it writes UTC, beside `timestamp({ withTimezone: true })`; a pgEnum.
-- env ORDERS_TABLE=orders
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- env ORDERS_TIME_ZONE=UTC
-- env ORDERS_PAID_AT_COLUMN=paid_at
-- env ORDERS_CANCELLED_AT_COLUMN=cancelled_at
-- env ORDERS_SET=updated_at = now() AT TIME ZONE 'UTC'
-- cancelled status = 'cancelled'
-- also abs(extract(epoch FROM cancelled_at AT TIME ZONE 'UTC' - expires_at)) < 60 AND abs(extract(epoch FROM updated_at - expires_at)) < 60
CREATE TYPE order_status AS ENUM ('pending', 'fulfilled', 'cancelled');
CREATE TABLE orders (
  id serial PRIMARY KEY,
  status order_status NOT NULL DEFAULT 'pending',
  expires_at timestamp NOT NULL,
  paid_at timestamp with time zone,
  cancelled_at timestamp with time zone,
  updated_at timestamp NOT NULL DEFAULT '2020-01-01',
  expect text NOT NULL
);
INSERT INTO orders (status, expires_at, paid_at, expect)
SELECT status::order_status, (now() AT TIME ZONE 'UTC') + due::interval, CASE WHEN paid THEN now() END, expect
FROM generate_series(1, 20) n, (VALUES
  ('pending', '4 seconds', false, 'cancelled'),
  ('pending', '4 seconds', true, 'kept'),
  ('fulfilled', '4 seconds', true, 'kept'),
  ('pending', '1 hour', false, 'later'),
  ('pending', '-3 days', false, 'backlog')) v (status, due, paid, expect);
