"""A JSON schema of the used part of KEDA's ScaledObject, which accepts no other field.

Field names and types are from the CRD in kedacore/keda, config/crd/bases/keda.sh_scaledobjects.yaml; the options of the
Prometheus scaler, which the CRD leaves open, are from keda.sh/docs/latest/scalers/prometheus.
"""

from typing import Any


def _object_schema(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0}

SCALED_OBJECT = _object_schema(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata=_object_schema(["name", "namespace"], name=_TEXT, namespace=_TEXT),
    spec=_object_schema(
        ["scaleTargetRef", "triggers"],
        scaleTargetRef=_object_schema(["name"], name=_TEXT, kind=_TEXT, apiVersion=_TEXT),
        pollingInterval=_NUMBER,
        cooldownPeriod=_NUMBER,
        minReplicaCount=_NUMBER,
        maxReplicaCount=_NUMBER,
        triggers={
            "type": "array",
            "minItems": 1,
            "items": _object_schema(
                ["type", "metadata"],
                type={"const": "prometheus"},
                metadata=_object_schema(
                    ["serverAddress", "query", "threshold"],
                    serverAddress=_TEXT,
                    query=_TEXT,
                    threshold=_TEXT,
                    activationThreshold=_TEXT,
                    ignoreNullValues={"enum": ["true", "false"]},
                ),
            ),
        },
    ),
)
