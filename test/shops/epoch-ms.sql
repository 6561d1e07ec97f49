-- Date.now() in a bigint: milliseconds, from the time of creation on. Never is 0, or the greatest number there is.
-- env ORDERS_TABLE=orders
-- env ORDERS_DEADLINE_COLUMN=createdAt
-- env ORDERS_DEADLINE_UNIT=ms
-- env ORDERS_DEADLINE_AFTER=15m
-- env ORDERS_CONDITION="paidAt" IS NULL
-- env ORDERS_SET="cancelledAt" = (extract(epoch FROM now()) * 1000)::bigint
-- cancelled status = 'cancelled'
-- also "cancelledAt" - "createdAt" - 900000 BETWEEN 0 AND 60000
CREATE TABLE orders (
  id varchar(40) PRIMARY KEY,
  status varchar(16) NOT NULL DEFAULT 'pending',
  "createdAt" bigint,
  "paidAt" bigint,
  "cancelledAt" bigint,
  expect text NOT NULL
);
INSERT INTO orders (id, "createdAt", "paidAt", expect)
SELECT kind || n, at::bigint, CASE WHEN paid THEN at END, expect
FROM generate_series(1, 20) n, (SELECT extract(epoch FROM now())::bigint * 1000 AS now) t, LATERAL (VALUES
  ('due', now - 896000, false, 'cancelled'),
  ('paid', now - 896000, true, 'kept'),
  ('new', now + 7200000, false, 'later'),
  ('old', now - 86400000 * 3, false, 'backlog'),
  ('none', NULL, false, 'later'),
  ('zero', 0, false, 'unreadable'),
  ('seconds', now / 1000, false, 'unreadable'),
  ('negative', -9223372036854775808, false, 'unreadable'),
  ('microseconds', now * 1000, false, 'later'),
  ('never', 9223372036854775807, false, 'later')) v (kind, at, paid, expect);
