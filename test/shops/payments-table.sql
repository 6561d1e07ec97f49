-- Payments in a table of their own: a trigger keeps on the order itself when it was paid.
-- env ORDERS_TABLE=orders
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- env ORDERS_PAID_AT_COLUMN=paid_at
-- cancelled status = 'cancelled'
CREATE TABLE orders (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  status text NOT NULL DEFAULT 'pending',
  expires_at timestamptz,
  expect text NOT NULL
);
CREATE TABLE payments (order_id bigint NOT NULL REFERENCES orders, amount numeric NOT NULL, paid_at timestamptz);
INSERT INTO orders (status, expires_at, expect)
SELECT 'pending', now() + due::interval, expect
FROM generate_series(1, 20) n, (VALUES
  ('4 seconds', 'cancelled'),
  ('4 seconds', 'kept'),
  ('1 hour', 'later')) v (due, expect);
INSERT INTO payments SELECT id, 10, NULL FROM orders;
ALTER TABLE orders ADD paid_at timestamptz;
CREATE FUNCTION order_paid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE orders SET paid_at = NEW.paid_at WHERE id = NEW.order_id AND paid_at IS NULL AND status <> 'cancelled';
  IF NOT FOUND THEN RAISE EXCEPTION 'order % is paid or cancelled', NEW.order_id; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER order_paid AFTER INSERT OR UPDATE OF paid_at ON payments
  FOR EACH ROW WHEN (NEW.paid_at IS NOT NULL) EXECUTE FUNCTION order_paid();
UPDATE payments SET paid_at = now() FROM orders WHERE orders.id = order_id AND expect = 'kept';
