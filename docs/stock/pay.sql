-- Books a payment for the order $1: what it has reserved is sold. Returns its id, or no row if the order was no
-- longer pending: then give the money back.
WITH paid AS ( -- waits for a cancellation that is under way, and then changes nothing
  UPDATE orders SET status = 'paid', paid_at = now()
  WHERE id = $1::bigint AND status = 'pending'
  RETURNING id
), bought AS MATERIALIZED (
  SELECT l.sku, sum(l.quantity) AS quantity
  FROM paid p JOIN order_lines l ON l.order_id = p.id
  GROUP BY l.sku
), shelf AS MATERIALIZED (
  SELECT s.sku, b.quantity FROM bought b JOIN stock s ON s.sku = b.sku
  ORDER BY s.sku
  FOR NO KEY UPDATE OF s
), sold AS (
  UPDATE stock s SET reserved = s.reserved - b.quantity, sold = s.sold + b.quantity
  FROM shelf b WHERE s.sku = b.sku
)
SELECT id FROM paid
