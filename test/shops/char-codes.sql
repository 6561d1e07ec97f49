-- From an older system: ids and statuses of a fixed length, filled up with blanks.
-- env ORDERS_TABLE=ord_hdr
-- env ORDERS_ID_COLUMN=ord_no
-- env ORDERS_STATUS_COLUMN=stat
-- env ORDERS_UNPAID_STATUSES=N,WP
-- env ORDERS_CANCELLED_STATUS=X
-- env ORDERS_DEADLINE_COLUMN=pay_by
-- env ORDERS_SET=reason = 'EXP'
-- cancelled stat = 'X'
-- also reason = 'EXP'
CREATE TABLE ord_hdr (
  ord_no char(12) PRIMARY KEY,
  stat char(4) NOT NULL DEFAULT 'N',
  pay_by timestamptz,
  reason char(8),
  expect text NOT NULL
);
INSERT INTO ord_hdr (ord_no, stat, pay_by, expect)
SELECT kind || n, stat, now() + due::interval, expect
FROM generate_series(1, 20) n, (VALUES
  ('A', 'N', '4 seconds', 'cancelled'),
  ('B-0000-', 'WP', '4 seconds', 'cancelled'),
  ('C', 'P', '4 seconds', 'kept'),
  ('D', 'N', '1 hour', 'later'),
  ('E', 'N', '-2 years', 'backlog')) v (kind, stat, due, expect);
