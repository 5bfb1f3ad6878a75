// The official Kubernetes plugin of Pulumi. Its own main package embeds files that are not in its Go module; Python
// programs need neither of them, so that a schema and a mapping with nothing in them serve.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

func main() {
	// The release of which the module's commit is, as pyproject.toml pins its SDK.
	provider.Serve("kubernetes", "v4.25.0", []byte(`{"name":"kubernetes"}`), []byte(`{}`))
}
