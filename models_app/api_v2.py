"""API v2's book, drift and models: the routers of the rooms, put together."""

from __future__ import annotations

from ninja import Router

from models_app.drift_index.api_v2 import router as drift_index
from models_app.imports.api_v2 import router as book
from models_app.modelling.api_v2 import router as modelling

router = Router()
router.add_router("", book)
router.add_router("", drift_index)
router.add_router("", modelling)
