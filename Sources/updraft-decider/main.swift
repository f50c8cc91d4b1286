import Decider
import ServiceRuntime

await ServiceMain.run(
    name: "decider", about: "Decides how many nodes the cluster's groups need, and which may go."
) { context in
    try await Decider.run(context)
}
