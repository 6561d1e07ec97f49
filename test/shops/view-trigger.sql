-- What is unpaid is known by two tables: a view joins them, and an INSTEAD OF trigger writes the cancellation.
-- env ORDERS_TABLE=orders_to_check
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- env ORDERS_UNPAID_STATUSES=open
-- env ORDERS_CANCELLED_STATUS=void
-- env ORDERS_CONDITION=NOT is_vip
-- cancelled status = 'void'
-- also (SELECT cancelled_by = 'expiry' FROM orders WHERE orders.id = orders_to_check.id)
CREATE TABLE customers (id integer PRIMARY KEY, is_vip boolean NOT NULL);
INSERT INTO customers VALUES (1, false), (2, true);
CREATE TABLE orders (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  customer_id integer NOT NULL REFERENCES customers,
  status text NOT NULL DEFAULT 'open',
  expires_at timestamptz,
  cancelled_by text,
  expect text NOT NULL
);
CREATE VIEW orders_to_check AS
SELECT o.id, o.status, o.expires_at, c.is_vip, o.expect FROM orders o JOIN customers c ON c.id = o.customer_id;
CREATE FUNCTION cancel_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE orders SET status = NEW.status, cancelled_by = 'expiry' WHERE id = OLD.id AND status = OLD.status;
  IF NOT FOUND THEN RETURN NULL; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cancel_order INSTEAD OF UPDATE ON orders_to_check FOR EACH ROW EXECUTE FUNCTION cancel_order();
INSERT INTO orders (customer_id, status, expires_at, expect)
SELECT customer, status, now() + due::interval, expect
FROM generate_series(1, 20) n, (VALUES
  (1, 'open', '4 seconds', 'cancelled'),
  (2, 'open', '4 seconds', 'kept'),
  (1, 'paid', '4 seconds', 'kept'),
  (1, 'open', '1 hour', 'later'),
  (1, 'open', '-2 years', 'backlog')) v (customer, status, due, expect);
