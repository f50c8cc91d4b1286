import Notifier
import ServiceRuntime

await ServiceMain.run(name: "notifier", about: NotifierService.about) { context in
    try await NotifierService.run(context)
}
