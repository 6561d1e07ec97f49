-- Each change of a status is written down by a trigger, which also gives the stock back.
-- env ORDERS_TABLE=orders
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- cancelled status = 'cancelled'
-- also (SELECT count(*) FROM audit WHERE order_id = orders.id) = 1
-- also (SELECT sum(left_over) FROM stock) = 100 + (SELECT count(*) FROM orders WHERE status = 'cancelled')
CREATE TABLE orders (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  sku text NOT NULL,
  status text NOT NULL DEFAULT 'pending',
  expires_at timestamptz,
  expect text NOT NULL
);
CREATE TABLE audit (order_id bigint NOT NULL, before text NOT NULL, after text NOT NULL);
CREATE TABLE stock (sku text PRIMARY KEY, left_over integer NOT NULL);
INSERT INTO stock VALUES ('A', 50), ('B', 50);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit VALUES (NEW.id, OLD.status, NEW.status);
  UPDATE stock SET left_over = left_over + 1 WHERE sku = NEW.sku;
  RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON orders FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION audit();
INSERT INTO orders (sku, status, expires_at, expect)
SELECT sku, status, now() + due::interval, expect
FROM generate_series(1, 10) n, (VALUES ('A'), ('B')) s (sku), (VALUES
  ('pending', '4 seconds', 'cancelled'),
  ('paid', '4 seconds', 'kept'),
  ('pending', '1 hour', 'later'),
  ('pending', '-2 years', 'backlog')) v (status, due, expect);
