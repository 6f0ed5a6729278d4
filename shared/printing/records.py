"""Records: prints in the store, each beside its dream, from which a wiped broker is restored."""

from shared.printing.prints import Print
from shared.printing.table import PrintTable
from shared.storage.object_names import print_name
from shared.storage.sidecar import read_sidecar
from shared.storage.store import Store


def persist_print(store: Store, record: Print) -> None:
    """Write the record of a print, unless its dream was deleted, and its records with it. Raises StoreError."""
    if read_sidecar(store, record.job_id) is not None:
        name = print_name(record.job_id, record.requester, record.number)
        store.put(name, record.model_dump_json(indent=1).encode())


def cancel_print(prints: PrintTable, store: Store, record: Print, reason: str) -> bool:
    """Cancel a print, also beyond the loss of the broker; False if it has ended. Raises RedisError and StoreError."""
    cancelled = prints.cancel(record, reason)
    if cancelled:
        persist_print(store, cancelled)
    return cancelled is not None
