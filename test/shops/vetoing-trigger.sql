-- A trigger that has the last word: some orders it does not let change, gives the status back, or writes another one.
-- env ORDERS_TABLE=orders
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- cancelled status = 'cancelled'
CREATE TABLE orders (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  channel text NOT NULL,
  status text NOT NULL DEFAULT 'pending',
  expires_at timestamptz,
  expect text NOT NULL
);
CREATE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  CASE OLD.channel
    WHEN 'phone' THEN RETURN NULL;
    WHEN 'invoice' THEN NEW.status := OLD.status;
    WHEN 'partner' THEN NEW.status := 'review';
    ELSE NULL;
  END CASE;
  RETURN NEW;
END $$;
CREATE TRIGGER veto BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION veto();
INSERT INTO orders (channel, status, expires_at, expect)
SELECT channel, status, now() + due::interval, expect
FROM generate_series(1, 5) n, (VALUES
  ('web', 'pending', '4 seconds', 'cancelled'),
  ('web', 'pending', '5 seconds', 'cancelled'),
  ('phone', 'pending', '4 seconds', 'kept'),
  ('invoice', 'pending', '4 seconds', 'kept'),
  ('partner', 'pending', '4 seconds', 'kept'),
  ('web', 'paid', '4 seconds', 'kept'),
  ('web', 'pending', '1 hour', 'later')) v (channel, status, due, expect);
