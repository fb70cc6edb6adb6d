#!/bin/sh
# Makes the namespace that the worker uses, and says when it can be used. The server's address is in TEMPORAL_ADDRESS.
set -eu
namespace=${TEMPORAL_NAMESPACE:-default}

for _ in $(seq 60); do
  if temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1; then
    echo "Namespace $namespace is there."
    exit 0
  fi
  # Fails while the server is still starting, and where another run of this script was quicker.
  temporal operator namespace create --namespace "$namespace" --retention "${RETENTION:-30d}" || sleep 2
done
echo "No namespace $namespace after two minutes: look at the server's log (docker compose logs temporal)." >&2
exit 1
