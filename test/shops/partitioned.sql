-- A table partitioned by month, whose key has to include the month's column. The id is unique because the sequence makes it so.
-- env ORDERS_TABLE=orders
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- env ORDERS_CANCELLED_AT_COLUMN=cancelled_at
-- cancelled status = 'cancelled'
-- also cancelled_at > now() - interval '1 minute'
CREATE TABLE orders (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  created_at timestamptz NOT NULL,
  status text NOT NULL DEFAULT 'pending',
  expires_at timestamptz,
  cancelled_at timestamptz,
  expect text NOT NULL,
  PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE TABLE orders_default PARTITION OF orders DEFAULT;
DO $$ BEGIN
  FOR month IN -3 .. 1 LOOP
    EXECUTE format('CREATE TABLE orders_%s PARTITION OF orders FOR VALUES FROM (%L) TO (%L)', month + 3,
      date_trunc('month', now()) + month * interval '1 month', date_trunc('month', now()) + (month + 1) * interval '1 month');
  END LOOP;
END $$;
INSERT INTO orders (created_at, status, expires_at, expect)
SELECT now() + made::interval, status, now() + due::interval, expect
FROM generate_series(1, 20) n, (VALUES
  ('-1 hour', 'pending', '4 seconds', 'cancelled'),
  ('-2 months', 'pending', '4 seconds', 'cancelled'),
  ('-1 hour', 'paid', '4 seconds', 'kept'),
  ('-1 hour', 'pending', '1 hour', 'later'),
  ('-2 years', 'pending', '-2 years', 'backlog')) v (made, status, due, expect);
