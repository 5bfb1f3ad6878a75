"""The ``ContractObjects`` component: what a module connects with, as a ConfigMap and a Secret on Kubernetes.

Both have the names of environment variables for keys, so that a pod takes them with ``envFrom`` or mounts them as
files; ``clients/contract_reader.py`` reads either. One pair a module, since whoever may read a Secret reads all of it. It
deliberately makes no namespace and restarts no pod: a service reads a renewed password when it starts.
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
    """What the component is made from. ``namespace``, as text, may hold ``{module}``, for modules with their own.

    ``after``: module -> what its objects wait for, so that no pod gets a password before the stores know it.
    """

    contract: Contract
    secrets: dict[str, dict[str, pulumi.Output[str]]]
    namespace: pulumi.Input[str]
    provider: Provider
    after: dict[str, list[pulumi.Resource]] = field(default_factory=dict)


def kubernetes_name(module: str) -> str:
    """The module's name as Kubernetes takes it: dashes for underscores."""
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
