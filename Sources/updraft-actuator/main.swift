import Actuator
import ServiceRuntime

await ServiceMain.run(name: "actuator", about: ActuatorService.about) { context in
    try await ActuatorService.run(context)
}
