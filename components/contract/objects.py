"""The ``ContractObjects`` component: on Kubernetes, a ConfigMap and a Secret per module with its connection settings.

Their keys are names of environment variables: a pod uses them with ``envFrom`` or mounts them as files, and
``clients/contract_reader.py`` reads both forms. Each module has its own Secret because read access to a Secret covers all
of its keys. The component creates no namespace and restarts no pod: a service reads a rotated password when it starts.
"""

from dataclasses import dataclass, field

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from components.contract.document import Contract, secret_variables, variables

PREFIX = "stellaops-storage-"


@dataclass(frozen=True)
class ContractObjectsArgs:
    """Arguments of ``ContractObjects``. ``namespace`` may contain ``{module}`` if each module has its own namespace.

    ``after``: module -> resources that are created before its objects: the stores accept a password before a pod gets it.
    """

    contract: Contract
    secrets: dict[str, dict[str, pulumi.Output[str]]]
    namespace: pulumi.Input[str]
    provider: Provider
    after: dict[str, list[pulumi.Resource]] = field(default_factory=dict)


def kubernetes_name(module: str) -> str:
    """Return the module's name with dashes instead of underscores, as Kubernetes requires."""
    return module.replace("_", "-")


class ContractObjects(pulumi.ComponentResource):
    """A ConfigMap and a Secret per module and service. Output ``names``: module -> the name of both."""

    def __init__(self, name: str, args: ContractObjectsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellaops:contract:ContractObjects", name, None, opts)
        self._args = args
        self.register_outputs({"names": {module: self._create(module) for module in args.contract.modules}})

    def _create(self, module: str) -> str:
        args, name = self._args, PREFIX + kubernetes_name(module)
        namespace = args.namespace
        if isinstance(namespace, str):
            namespace = namespace.replace("{module}", kubernetes_name(module))
        metadata = meta.ObjectMetaArgs(
            name=name,
            namespace=namespace,
            labels={
                "app.kubernetes.io/name": "stellaops-storage",
                "app.kubernetes.io/part-of": "stellaops",
                "stellaops.io/module": kubernetes_name(module),
            },
        )
        opts = pulumi.ResourceOptions(parent=self, provider=args.provider, depends_on=args.after.get(module))
        core.ConfigMap(name, metadata=metadata, data=variables(args.contract, module), opts=opts)
        core.Secret(
            name,
            metadata=metadata,
            type="Opaque",
            string_data={**secret_variables(args.contract, module, args.secrets[module])},
            opts=opts,
        )
        return name
