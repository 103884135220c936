# on each machine the same, the broker for this installation alone
export DATABASE_URL="postgres://ordergen:$PASSWORD@db.internal/ordergen"
export CELERY_BROKER_URL="amqp://ordergen:$PASSWORD@broker.internal/ordergen"
export SECRET_KEY="$SECRET" ALLOWED_HOSTS="orders.example.com"  # 50 characters or more

ordergen migrate                         # once, and after each update first
ordergen web --host 0.0.0.0 --port 8000  # behind a proxy that speaks HTTPS
ordergen worker                          # any number; each brings a sweeper
