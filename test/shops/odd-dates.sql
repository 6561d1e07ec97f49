-- The first and the last times that a column can hold, where the deadline has to be computed from them.
-- env ORDERS_TABLE=orders
-- env ORDERS_DEADLINE_COLUMN=created_at
-- env ORDERS_DEADLINE_AFTER=1d
-- env ORDERS_TIME_ZONE=America/New_York
-- env ORDERS_PAID_AT_COLUMN=paid_at
-- cancelled status = 'cancelled'
CREATE TABLE orders (
  id text PRIMARY KEY,
  status text NOT NULL DEFAULT 'pending',
  created_at timestamp,
  paid_at timestamp,
  expect text NOT NULL
);
INSERT INTO orders (id, created_at, paid_at, expect) VALUES
  ('due', (now() AT TIME ZONE 'America/New_York') - interval '1 day' + interval '4 seconds', NULL, 'cancelled'),
  ('new', now() AT TIME ZONE 'America/New_York', NULL, 'later'),
  ('paid', (now() AT TIME ZONE 'America/New_York') - interval '1 day' + interval '4 seconds', now(), 'kept'),
  ('paid-in-year-1', (now() AT TIME ZONE 'America/New_York') - interval '1 day' + interval '4 seconds', '0001-01-01', 'kept'),
  ('paid-infinitely', (now() AT TIME ZONE 'America/New_York') - interval '1 day' + interval '4 seconds', '-infinity', 'kept'),
  ('first', '4713-01-01 00:00:00 BC', NULL, 'unreadable'),
  ('last', '294276-12-31 23:59:59.999999', NULL, 'later'),
  ('never', 'infinity', NULL, 'later'),
  ('always', '-infinity', NULL, 'unreadable'),
  ('year-1', '0001-01-01', NULL, 'unreadable'),
  ('epoch', '1970-01-01', NULL, 'unreadable'),
  ('none', NULL, NULL, 'later');
