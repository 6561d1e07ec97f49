-- Ids and statuses that do not tell upper from lower case.
-- env ORDERS_TABLE=orders
-- env ORDERS_ID_COLUMN=code
-- env ORDERS_UNPAID_STATUSES=pending
-- env ORDERS_CANCELLED_STATUS=Cancelled
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- cancelled status = 'cancelled'
-- also status::text = 'Cancelled'
CREATE EXTENSION citext;
CREATE TABLE orders (
  code citext PRIMARY KEY,
  status citext NOT NULL DEFAULT 'Pending',
  expires_at timestamptz,
  expect text NOT NULL
);
INSERT INTO orders (code, status, expires_at, expect)
SELECT kind || n, status, now() + due::interval, expect
FROM generate_series(1, 20) n, (VALUES
  ('Aa-', 'Pending', '4 seconds', 'cancelled'),
  ('BB-', 'PENDING', '4 seconds', 'cancelled'),
  ('cc-', 'pending', '4 seconds', 'cancelled'),
  ('Dd-', 'Paid', '4 seconds', 'kept'),
  ('Ee-', 'Pending', '1 hour', 'later'),
  ('Ff-', 'Pending', '-2 years', 'backlog')) v (kind, status, due, expect);
