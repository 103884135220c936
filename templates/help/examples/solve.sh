ordergen solve <<'END' | jq -c '{status, trades, scenarios: [.scenarios[] | {orders, turnover, drift_after}]}'
{"portfolio_id": "P1", "cash": "1003.00", "positions": [{"security_id": "A", "quantity": "10", "price": "10.00", "target": "0.10", "low_drift": "0.01", "high_drift": "0.02"}], "scenarios": [{}, {"hold": true}]}
END
