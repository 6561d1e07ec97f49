-- Row security: the daemon's role sees all orders, and may change those of its own region only.
-- role
-- env ORDERS_TABLE=orders
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- cancelled status = 'cancelled'
CREATE TABLE orders (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  region text NOT NULL,
  status text NOT NULL DEFAULT 'pending',
  expires_at timestamptz,
  expect text NOT NULL
);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY may_see ON orders FOR SELECT USING (true);
CREATE POLICY may_change ON orders FOR UPDATE USING (region = 'north');
DO $$ BEGIN
  EXECUTE format('CREATE ROLE %I LOGIN', current_database());
  EXECUTE format('GRANT SELECT, UPDATE ON orders TO %I', current_database());
  EXECUTE format('GRANT USAGE, CREATE ON SCHEMA public TO %I', current_database());
END $$;
INSERT INTO orders (region, status, expires_at, expect)
SELECT region, status, now() + due::interval, expect
FROM generate_series(1, 5) n, (VALUES
  ('north', 'pending', '4 seconds', 'cancelled'),
  ('north', 'pending', '5 seconds', 'cancelled'),
  ('south', 'pending', '4 seconds', 'kept'),
  ('north', 'paid', '4 seconds', 'kept'),
  ('north', 'pending', '1 hour', 'later')) v (region, status, due, expect);
