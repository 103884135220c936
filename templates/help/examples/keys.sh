ordergen create-api-key maya "Nightly run" --days 90 --scope book:read --scope book:write --scope events:read \
  --scope models:read --scope models:write --scope rebalances:read --scope rebalances:write
ordergen create-api-key tom "Approvals" --days 90 \
  --scope rebalances:read --scope orders:decide
