-- A shop whose orders reserve stock, use a coupon and spend points. What must not run short is a CHECK: who would
-- take too much, or give back too much, gets an error, and nothing of the statement stays.
CREATE TABLE stock (
  sku text PRIMARY KEY,
  free integer NOT NULL CONSTRAINT enough_stock CHECK (free >= 0),
  reserved integer NOT NULL DEFAULT 0 CHECK (reserved >= 0), -- by orders that are not paid yet
  sold integer NOT NULL DEFAULT 0 CHECK (sold >= 0)
);
CREATE TABLE coupons (
  code text PRIMARY KEY,
  uses_left integer NOT NULL CONSTRAINT enough_uses CHECK (uses_left >= 0) -- 1: for a single order
);
CREATE TABLE customers (
  id bigint PRIMARY KEY,
  points integer NOT NULL CONSTRAINT enough_points CHECK (points >= 0)
);
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers (id),
  status text NOT NULL DEFAULT 'pending',
  payment_deadline timestamptz,
  paid_at timestamptz,
  coupon text REFERENCES coupons (code), -- used once by this order
  points integer NOT NULL DEFAULT 0 CHECK (points >= 0) -- spent on this order
);
CREATE TABLE order_lines (
  order_id bigint NOT NULL REFERENCES orders (id),
  sku text NOT NULL REFERENCES stock (sku), -- several lines may have the same
  quantity integer NOT NULL CHECK (quantity > 0)
);
CREATE INDEX ON order_lines (order_id);
