# Every change since the last time: keep the number, and ask again from there. A key with events:read is enough.
after=$(cat last_event 2>/dev/null || echo 0)
while :; do
    page=$(curl --fail-with-body -sS -H "X-API-Key: $KEY" "$HOST/api/v2/events?after=$after&limit=200")
    echo "$page" | jq -r '.items[] | "\(.seq) \(.kind) \(.summary)"'
    after=$(echo "$page" | jq .next_after)
    echo "$after" >last_event  # once they are dealt with: then none is lost when this is cut off
    [ "$after" -lt "$(echo "$page" | jq .newest)" ] || break
done
