"""What a display loads at its start and for its first page, loaded in advance. Only the fork server imports this."""

import functools
import gc

import pandas  # noqa: F401  Streamlit imports it for the first page
import streamlit.web.server.starlette.starlette_agent_routes  # noqa: F401
import uvicorn.lifespan.on
import uvicorn.loops.asyncio
import uvicorn.loops.auto
import uvicorn.protocols.http.auto
import uvicorn.protocols.http.h11_impl
import uvicorn.protocols.websockets.websockets_sansio_impl  # noqa: F401
from streamlit.components.v2 import manifest_scanner

import display.api.app
import display.server  # noqa: F401

# Streamlit looks for components in the metadata of every installed package.
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)
manifest_scanner.scan_component_manifests()

# A garbage collection in a forked process would copy all that is loaded here, which takes longer than the start itself.
gc.collect()
gc.freeze()
