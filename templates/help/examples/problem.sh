jq -c . <<'END' | ordergen solve
{"portfolio_id": "P1", "cash": "1003.00",
 "positions": [
  {"security_id": "A", "quantity": "10", "price": "10.00",
   "target": "0.50", "low_drift": "0.05", "high_drift": "0.05",
   "lot_size": 1, "can_buy": true, "can_sell": true, "on_order": "0",
   "lots": [{"quantity": "10", "cost": "8.50",
             "acquired_on": "2024-02-01", "reference": "L1"}]},
  {"security_id": "B", "quantity": "40", "price": "12.50",
   "target": "0.20", "low_drift": "0.05", "high_drift": "0.05"}],
 "options": {"mode": "to_target", "min_cash": "100.00", "min_cash_weight": "0.02",
  "max_cash": null, "max_cash_weight": "0.90", "min_trade_value": "50.00",
  "max_turnover": "0.40", "max_trades": 10, "gain_budget": null, "cost_bps": "5",
  "ticket_cost": "0", "time_limit": "10", "soft_bands": false,
  "hold": false, "nearest": false, "reserve_costs": true},
 "scenarios": [{}, {"mode": "within_bands"}]}
END
