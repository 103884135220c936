from django.urls import path

from rebalance_app.closing import views as closing_views
from rebalance_app.limits import views as limit_views
from rebalance_app.orders import views as order_views
from rebalance_app.proposals import views as proposal_views
from rebalance_app.runs import views as run_views
from rebalance_app.sending import views as sending_views

urlpatterns = [
    path("rebalances/", run_views.run_list, name="rebalances"),
    path("rebalances/new", run_views.run_new, name="rebalance_new"),
    path("rebalances/<str:run_id>/", run_views.run_detail, name="rebalance"),
    path("rebalances/<str:run_id>/cancel", run_views.run_cancel, name="rebalance_cancel"),
    path("rebalances/<str:run_id>/portfolios/<str:portfolio_id>/", proposal_views.proposal, name="proposal"),
    path("orders/", order_views.order_list, name="orders"),
    path("orders/export.csv", order_views.order_export, name="order_export"),
    path("orders/review", order_views.order_review, name="order_review"),
    path("orders/decision", order_views.order_decision, name="order_decision"),
    path("orders/close", closing_views.close_orders, name="close_orders"),
    path("orders/close/file", closing_views.close_by_file, name="close_by_file"),
    path("orders/close/file/<str:token>", closing_views.close_file_preview, name="close_file_preview"),
    path("orders/fits/", closing_views.fits, name="order_fits"),
    path("orders/<str:order_id>/", order_views.order_detail, name="order"),
    path("batches/", sending_views.batch_list, name="batches"),
    path("batches/new", sending_views.batch_new, name="batch_new"),
    path("batches/<str:batch_id>/", sending_views.batch_detail, name="batch"),
    path("batches/<str:batch_id>/file", sending_views.batch_download, name="batch_download"),
    path("batches/<str:batch_id>/settle", sending_views.batch_settle, name="batch_settle"),
    path("limits/", limit_views.limit_list, name="limits"),
    path("limits/<str:scope>/<str:subject_id>/", limit_views.limit_edit, name="limit"),
]
