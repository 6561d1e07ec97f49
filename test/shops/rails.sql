-- A shop on Rails: an integer enum, timestamp(6) in UTC, soft deletes by discarded_at, optimistic locking by lock_version.
-- env ORDERS_TABLE=orders
-- env ORDERS_UNPAID_STATUSES=0,1
-- env ORDERS_CANCELLED_STATUS=5
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- env ORDERS_TIME_ZONE=UTC
-- env ORDERS_CONDITION=discarded_at IS NULL
-- env ORDERS_SET=lock_version = lock_version + 1, updated_at = now() AT TIME ZONE 'UTC'
-- cancelled status = 5
-- also lock_version = 4 AND updated_at > '2021-01-01'
CREATE TABLE orders (
  id bigserial PRIMARY KEY,
  status integer NOT NULL DEFAULT 0,
  expires_at timestamp(6) without time zone,
  discarded_at timestamp(6) without time zone,
  lock_version integer NOT NULL DEFAULT 0,
  created_at timestamp(6) without time zone NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
  updated_at timestamp(6) without time zone NOT NULL DEFAULT '2020-01-01',
  expect text NOT NULL
);
INSERT INTO orders (status, expires_at, discarded_at, lock_version, expect)
SELECT status, (now() AT TIME ZONE 'UTC') + due::interval, CASE WHEN discarded THEN now() AT TIME ZONE 'UTC' END, 3, expect
FROM generate_series(1, 20) n, (VALUES
  (0, '4 seconds', false, 'cancelled'),
  (1, '4 seconds', false, 'cancelled'),
  (2, '4 seconds', false, 'kept'),
  (0, '4 seconds', true, 'kept'),
  (0, NULL, false, 'later'),
  (0, '1 hour', false, 'later'),
  (0, '-2 years', false, 'backlog')) v (status, due, discarded, expect);
