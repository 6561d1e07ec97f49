-- A shop's orders table, as small as it can be, with two orders that nobody pays.
CREATE TABLE orders (
  id text PRIMARY KEY,
  status text NOT NULL DEFAULT 'pending',
  payment_deadline timestamptz NOT NULL,
  paid_at timestamptz,
  cancelled_at timestamptz
);

INSERT INTO orders (id, payment_deadline) VALUES
  ('sample-1', now() + interval '30 seconds'),
  ('sample-2', now() + interval '10 minutes');
