"""An API server for the session, and the official plugin."""

from collections.abc import Callable, Iterator

import pytest

from tests.kubernetes.cluster import Cluster, cluster
from tests.kubernetes.stack import KubernetesStack
from tools.local import environment
from tools.local.console import Console
from tools.local.engine import tools
from tools.local.engine.tools import Engine
from tools.local.paths import State, write_private
from tools.offline_plugins import install

NewStack = Callable[..., KubernetesStack]


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Kubernetes API server. Shared: use namespaces of your own."""
    etcd, apiserver = tools.api_server(Console())
    with cluster(tmp_path_factory.mktemp("cluster"), etcd, apiserver) as made:
        yield made


@pytest.fixture(scope="session")
def official_engine(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> dict[str, str]:
    """The environment of an engine with the official Kubernetes plugin in its home."""
    state = State(tmp_path_factory.mktemp("engine"))
    state.make()
    write_private(state.passphrase, "for tests")
    install.install_built(state.pulumi_home, tools.kubernetes_plugin(Console()))
    settings = environment.of_engine(state, engine)
    return {
        name: value for name, value in settings.items() if name not in ("PULUMI_STACK", "PULUMI_OPTION_CONFIG_FILE")
    }


@pytest.fixture(scope="module")
def new_stack(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, official_engine: dict[str, str], api_server: Cluster
) -> NewStack:
    """Makes a stack with the given config, in a namespace of its own that admits restricted pods only."""

    def make(name: str, **config: object) -> KubernetesStack:
        namespace = api_server.namespace(name)
        made = KubernetesStack(tmp_path_factory.mktemp(name), engine.pulumi, official_engine, api_server, namespace)
        made.create(**config)
        return made

    return make
