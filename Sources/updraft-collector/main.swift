import Collector
import ServiceRuntime

await ServiceMain.run(
    name: "collector", about: "Watches a Kubernetes cluster and tells the other services over the bus."
) { context in
    try await Collector.run(context)
}
