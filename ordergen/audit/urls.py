from django.urls import path

from ordergen.audit import views

urlpatterns = [path("", views.audit, name="audit")]
