-- Many tenants in one table, whose key is (tenant_id, id): a view makes one id of both. It is updatable as it is.
-- env ORDERS_TABLE=orders_by_tenant
-- env ORDERS_DEADLINE_COLUMN=expires_at
-- env ORDERS_SET=updated_at = now()
-- cancelled status = 'cancelled'
-- also updated_at > now() - interval '1 minute'
CREATE TABLE orders (
  tenant_id integer NOT NULL,
  id bigint NOT NULL,
  status text NOT NULL DEFAULT 'pending',
  expires_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT '2020-01-01 00:00+00',
  expect text NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX ON orders ((tenant_id::text || '-' || id::text));
CREATE INDEX ON orders (expires_at, (tenant_id::text || '-' || id::text)) WHERE status IN ('pending');
CREATE VIEW orders_by_tenant AS
SELECT tenant_id::text || '-' || id::text AS id, status, expires_at, updated_at, expect FROM orders;
INSERT INTO orders (tenant_id, id, status, expires_at, expect)
SELECT tenant, kind * 100 + n, status, now() + due::interval, expect
FROM generate_series(1, 10) n, generate_series(1, 3) tenant, (VALUES
  (1, 'pending', '4 seconds', 'cancelled'),
  (2, 'paid', '4 seconds', 'kept'),
  (3, 'pending', '1 hour', 'later'),
  (4, 'pending', '-2 years', 'backlog')) v (kind, status, due, expect);
-- The same number is paid at one tenant, and not at the other.
INSERT INTO orders (tenant_id, id, status, expires_at, expect) VALUES
  (1, 7, 'pending', now() + interval '4 seconds', 'cancelled'),
  (2, 7, 'paid', now() + interval '4 seconds', 'kept');
